// STARTTLS, RFC 3207: what was said before it is forgotten, what was injected behind it is an attack.
#include "smtp/base/base_error.h"
#include "smtp/client/session_impl.h"

namespace holdfast {
namespace {

TlsFailure failed(TlsError error, std::string detail, std::string code = {}) {
  return TlsFailure{error, std::move(detail), std::move(code)};
}

TlsFailure failed(const Error& error) {
  if (error.is(BaseError::timed_out)) return failed(TlsError::timed_out, error.text());
  const bool lost = error.is(BaseError::closed) || error.is(BaseError::reset);
  if (error.is(BaseError::cancelled)) return failed(TlsError::connection_lost, error.text(), "cancelled");
  return failed(lost ? TlsError::connection_lost : TlsError::protocol, error.text());
}

TlsFailure refused(const Reply& reply) {
  const bool refusal = reply.temporary() || reply.permanent();
  return failed(refusal ? TlsError::refused : TlsError::protocol, "STARTTLS was answered " + reply.summary(),
                std::to_string(reply.code));
}

StartTlsResult ended(TlsFailure failure) {
  StartTlsResult result;
  result.failure = std::move(failure);
  return result;
}

}  // namespace

asio::awaitable<StartTlsResult> ClientSession::start_tls(std::shared_ptr<const TlsClientContexts> contexts,
                                                         TlsRequirement requirement) {
  auto& talk = impl_->talk;
  if (!impl_->extensions.starttls)
    co_return ended(failed(TlsError::not_offered, "the EHLO reply holds no STARTTLS"));
  talk.limit(impl_->timeouts.starttls);
  auto reply = co_await talk.ask("STARTTLS");
  if (!reply) co_return ended(failed(reply.error()));
  if (reply->code != 220) {
    close();
    co_return ended(refused(*reply));
  }
  // Whatever came in clear behind the reply would be taken for the peer's first words under TLS.
  if (talk.unread()) {
    close();
    co_return ended(failed(TlsError::injected, "octets came behind the reply to STARTTLS"));
  }
  impl_->introduced = false;
  impl_->extensions = Extensions();
  impl_->peer_helo.clear();

  TlsClientOptions options;
  options.requirement = requirement;
  auto handshake = co_await tls_connect(talk.release(), std::move(contexts), std::move(options));
  if (!handshake.stream) {
    impl_->evidence = std::move(handshake.evidence);
    talk.transcript().note("TLS failed: " + handshake.failure.detail);
    co_return ended(std::move(handshake.failure));
  }
  impl_->evidence = handshake.stream->evidence();
  impl_->under_tls = true;
  talk.adopt(std::move(handshake.stream));
  talk.transcript().note(std::string(name(impl_->evidence.version)) + " " + impl_->evidence.cipher);

  auto hello = co_await impl_->introduce(false);
  talk.transcript().mark_opening();
  if (!hello) {
    auto failure = failed(hello.error());
    failure.detail = "EHLO after TLS: " + failure.detail;
    co_return ended(std::move(failure));
  }
  if (!hello->accepted()) {
    close();
    // A reply came over TLS, so TLS works. Only a break without one may be the end of a refused handshake, of
    // which TLS 1.3 tells here.
    StartTlsResult result;
    result.refused = std::move(*hello);
    co_return result;
  }
  if (auto missing = unmet(impl_->evidence, requirement)) {
    co_await quit();
    co_return ended(std::move(missing));
  }
  co_return StartTlsResult();
}

}  // namespace holdfast
