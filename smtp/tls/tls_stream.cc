#include "smtp/tls/tls_stream.h"

#include "smtp/base/base_error.h"
#include "smtp/tls/openssl.h"
#include "smtp/tls/tls_engine.h"
#include "smtp/tls/verify.h"

namespace holdfast {
namespace {

// One write() leaves as one write below, up to this much ciphertext at a time.
constexpr std::size_t kWritePart = 128 * 1024;

TlsFailure failure_of(const Error& error) {
  TlsFailure failure;
  failure.error = error.is(BaseError::timed_out) ? TlsError::timed_out : TlsError::connection_lost;
  failure.detail = error.text();
  if (error.is(BaseError::cancelled)) failure.code = "cancelled";  // by us: says nothing of the peer
  return failure;
}

class OpensslStream final : public TlsStream {
 public:
  // `context` keeps alive what `ssl` was made from.
  OpensslStream(std::unique_ptr<Stream> next, std::shared_ptr<const void> context, SslHandle ssl)
      : next_(std::move(next)), context_(std::move(context)), engine_(std::move(ssl)) {}

  // `ssl` verifies by it; called before the handshake.
  void expect(const TlsClientContexts& contexts, TlsRequirement requirement) {
    requirement_ = std::move(requirement);
    verifier_.emplace(contexts, *requirement_, evidence_);
    verifier_->attach(engine_.ssl());
  }

  asio::awaitable<TlsFailure> handshake() {
    while (true) {
      const auto step = engine_.handshake();
      if (step == TlsEngine::Step::done) break;
      if (step != TlsEngine::Step::want_input) {
        co_await flush();  // our alert; that it cannot be sent changes nothing
        co_return cause_of_failed_handshake();
      }
      auto sent = co_await flush();
      if (!sent) co_return failure_of(sent.error());
      auto filled = co_await fill(0);
      if (!filled) co_return failure_of(filled.error());
    }
    if (requirement_) {
      // The last word, whatever the steps before said: compares what was proved with what was asked.
      note_client_evidence();
      auto asked = *requirement_;
      asked.requiretls = false;  // the EHLO reply after TLS tells
      if (auto failure = unmet(evidence_, asked)) co_return failure;
    } else {
      note_server_evidence();
    }
    auto sent = co_await flush();
    if (!sent) co_return failure_of(sent.error());
    co_return TlsFailure();
  }

  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    if (ended_) co_return *ended_;
    while (true) {
      std::size_t count = 0;
      const auto step = engine_.read(buffer, count);
      Result<void> sent;
      if (!engine_.output().empty()) sent = co_await flush();  // answers to key updates, alerts
      if (step == TlsEngine::Step::done) co_return count;
      if (step == TlsEngine::Step::closed) co_return end(BaseError::closed);
      if (step == TlsEngine::Step::failed) co_return end(engine_error());
      if (!sent) co_return end(sent.error());
      auto filled = co_await fill(buffer.size());
      // A cancelled read took nothing: the stream can still say 421.
      if (!filled && filled.error().is(BaseError::cancelled)) co_return filled.error();
      if (!filled) co_return end(filled.error());
    }
  }

  asio::awaitable<Result<void>> write(std::string_view data) override {
    while (!data.empty()) {
      if (ended_) co_return *ended_;
      const auto part = data.substr(0, kWritePart);
      data.remove_prefix(part.size());
      if (engine_.write(part) != TlsEngine::Step::done) co_return end(engine_error());
      auto sent = co_await flush();
      if (!sent) co_return end(sent.error());
    }
    engine_.shrink();
    co_return Result<void>();
  }

  asio::awaitable<void> say_goodbye() override {
    if (ended_) co_return;
    engine_.close_notify();
    co_await flush();
    end(BaseError::closed);
  }

  void set_deadline(SteadyTime at) override { next_->set_deadline(at); }
  void close() override { next_->close(); }
  Peer local() const override { return next_->local(); }
  Peer remote() const override { return next_->remote(); }
  const TlsEvidence& evidence() const override { return evidence_; }
  TlsEvidence take_evidence() { return std::move(evidence_); }

  std::string alpn() const override {
    const unsigned char* data = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(engine_.ssl(), &data, &size);
    return std::string(reinterpret_cast<const char*>(data), size);
  }

 private:
  asio::awaitable<Result<void>> flush() {
    if (engine_.output().empty()) co_return Result<void>();
    auto sent = co_await next_->write(engine_.output());
    engine_.sent();
    co_return sent;
  }

  // An end of the connection here is not the end of the TLS conversation: truncation.
  asio::awaitable<Result<void>> fill(std::size_t wanted) {
    auto count = co_await next_->read_some(engine_.input_space(wanted));
    if (!count) {
      if (!count.error().is(BaseError::closed)) co_return count.error();
      co_return Error(TlsError::connection_lost, "the peer went away without a TLS close");
    }
    engine_.input_filled(*count);
    co_return Result<void>();
  }

  Error end(Error why) {
    if (!ended_) ended_ = std::move(why);
    return *ended_;
  }

  Error engine_error() const {
    const auto& failure = engine_.failure();
    return Error(failure.error, failure.code.empty() ? failure.detail : failure.code + ": " + failure.detail);
  }

  // OpenSSL says only "certificate verify failed" where the verifier knows why.
  TlsFailure cause_of_failed_handshake() const {
    if (requirement_ && requirement_->pkix && evidence_.pkix_failure) return evidence_.pkix_failure;
    if (requirement_ && requirement_->dane && evidence_.dane_failure) return evidence_.dane_failure;
    auto failure = engine_.failure();
    if (!failure)
      failure = TlsFailure{TlsError::connection_lost, "the peer closed TLS during the handshake", {}};
    return failure;
  }

  void note_session() {
    SSL* ssl = engine_.ssl();
    evidence_.version = static_cast<TlsVersion>(SSL_version(ssl));
    evidence_.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
    evidence_.resumed = SSL_session_reused(ssl) == 1;
  }

  void note_client_evidence() {
    note_session();
    evidence_.ciphers = requirement_->ciphers;
    // Asked of the handshake itself: a cipher list may lower the level by "@SECLEVEL".
    evidence_.strict = SSL_get_security_level(engine_.ssl()) >= kVerifySecurityLevel;
    evidence_.server_name = requirement_->server_name;
    if (evidence_.chain.empty() && (requirement_->pkix || requirement_->dane)) {
      const TlsFailure missing{TlsError::no_certificate, "the peer presented no certificate", {}};
      if (!evidence_.pkix_failure) evidence_.pkix_failure = missing;
      if (!evidence_.dane_failure) evidence_.dane_failure = missing;
    }
  }

  void note_server_evidence() {
    note_session();
    const char* sni = SSL_get_servername(engine_.ssl(), TLSEXT_NAMETYPE_host_name);
    if (sni == nullptr) return;
    if (auto name = DomainName::parse(sni)) evidence_.server_name = *name;
  }

  std::unique_ptr<Stream> next_;
  std::shared_ptr<const void> context_;
  std::optional<TlsRequirement> requirement_;  // client side only
  TlsEvidence evidence_;
  std::optional<PeerVerifier> verifier_;
  std::optional<Error> ended_;
  TlsEngine engine_;  // last: its SSL refers to the verifier
};

// RFC 7301 section 3.1: each name behind its length.
std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& protocol : protocols) {
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

// nullptr when the requirement cannot be expressed; OpenSSL's queue says why.
SslHandle prepare_client(const TlsClientContexts& contexts, const TlsClientOptions& options) {
  const auto& wanted = options.requirement;
  const bool authenticated = wanted.level == TlsLevel::authenticated || wanted.pkix || wanted.dane;
  SslHandle ssl(SSL_new(authenticated ? contexts.verified() : contexts.opportunistic()));
  if (!ssl) return nullptr;
  SSL_set_connect_state(ssl.get());
  // Without authentication the verifier still looks at the chain (evidence, watched policies) but refuses
  // nothing.
  SSL_set_verify(ssl.get(), authenticated ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  const std::string& sni = wanted.server_name.text();
  if (!sni.empty() && SSL_set_tlsext_host_name(ssl.get(), sni.c_str()) != 1) return nullptr;
  const int least = static_cast<int>(wanted.min_version);
  if (least > SSL_get_min_proto_version(ssl.get()) && SSL_set_min_proto_version(ssl.get(), least) != 1)
    return nullptr;
  if (!wanted.ciphers.empty() && SSL_set_cipher_list(ssl.get(), wanted.ciphers.c_str()) != 1) return nullptr;
  const auto alpn = alpn_wire(options.alpn);
  const auto* names = reinterpret_cast<const unsigned char*>(alpn.data());
  if (!alpn.empty() && SSL_set_alpn_protos(ssl.get(), names, static_cast<unsigned>(alpn.size())) != 0)
    return nullptr;
  return ssl;
}

asio::awaitable<TlsHandshake> complete(std::unique_ptr<OpensslStream> stream) {
  TlsHandshake result;
  result.failure = co_await stream->handshake();
  if (result.failure) {
    stream->close();
    result.evidence = stream->take_evidence();
    result.evidence.version = TlsVersion::none;
  } else {
    result.stream = std::move(stream);
  }
  co_return result;
}

TlsHandshake refuse(Stream& next, std::string detail) {
  next.close();
  TlsHandshake result;
  result.failure = TlsFailure{TlsError::protocol, std::move(detail), {}};
  return result;
}

}  // namespace

asio::awaitable<TlsHandshake> tls_connect(std::unique_ptr<Stream> next,
                                          std::shared_ptr<const TlsClientContexts> contexts,
                                          TlsClientOptions options) {
  auto& wanted = options.requirement;
  if (wanted.server_name.empty() && wanted.dane) wanted.server_name = wanted.dane->base_domain;
  if (wanted.server_name.empty() && wanted.pkix) wanted.server_name = wanted.pkix->name;
  auto ssl = prepare_client(*contexts, options);
  if (!ssl)
    co_return refuse(*next, "the TLS requirement cannot be met by this OpenSSL: " + take_openssl_error());
  auto stream = std::make_unique<OpensslStream>(std::move(next), contexts, std::move(ssl));
  stream->expect(*contexts, std::move(wanted));
  co_return co_await complete(std::move(stream));
}

asio::awaitable<TlsHandshake> tls_accept(std::unique_ptr<Stream> next,
                                         std::shared_ptr<const TlsServerContext> context) {
  SslHandle ssl(SSL_new(context->get()));
  if (!ssl) co_return refuse(*next, take_openssl_error());
  SSL_set_accept_state(ssl.get());
  auto stream = std::make_unique<OpensslStream>(std::move(next), context, std::move(ssl));
  co_return co_await complete(std::move(stream));
}

}  // namespace holdfast
