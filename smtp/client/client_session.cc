#include "smtp/client/client_session.h"

#include "smtp/base/base_error.h"
#include "smtp/client/client_error.h"
#include "smtp/client/envelope_commands.h"
#include "smtp/client/session_impl.h"
#include "smtp/client/transaction.h"

namespace holdfast {
namespace {

// Between transactions nothing is awaited; how long a connection may be idle is its pool's business.
constexpr Duration kIdleLimit = std::chrono::hours(24);
// Servers drop idle connections after seconds, not sooner.
constexpr Duration kStillThere = std::chrono::seconds(2);

}  // namespace

const char* name(Stage stage) {
  switch (stage) {
    case Stage::connect: return "connect";
    case Stage::greeting: return "greeting";
    case Stage::ehlo: return "ehlo";
    case Stage::starttls: return "starttls";
    case Stage::auth: return "auth";
    case Stage::mail: return "mail";
    case Stage::rcpt: return "rcpt";
    case Stage::data: return "data";
    case Stage::body: return "body";
    case Stage::final_dot: return "final_dot";
    case Stage::quit: return "quit";
  }
  return "unknown";
}

ClientSession::Impl::Impl(std::unique_ptr<Stream> stream, Clock& clock, std::string our_name,
                          ClientTimeouts times)
    : local(stream->local()),
      remote(stream->remote()),
      talk(std::move(stream), clock),
      name(std::move(our_name)),
      timeouts(times) {
  if (auto* tls = dynamic_cast<TlsStream*>(talk.stream())) {
    evidence = tls->evidence();
    under_tls = true;
  }
}

ClientSession::ClientSession(std::unique_ptr<Stream> stream, Clock& clock, std::string our_name,
                             ClientTimeouts timeouts)
    : impl_(std::make_unique<Impl>(std::move(stream), clock, std::move(our_name), timeouts)) {}

// A connection that breaks in such a flight leaves in doubt whether the message was taken, when otherwise the
// next MX would be tried at once. So it is done only where that is unlikely: on a connection that took a
// message a moment ago, and has not been left alone since.
bool ClientSession::Impl::may_send_at_once(const OutgoingMessage& message) const {
  return at_once && proven && !unfinished && extensions.chunking && extensions.pipelining &&
         message.size > 0 && message.size <= kMostAtOnce && talk.quiet_for() < kStillThere;
}

ClientSession::~ClientSession() { close(); }

asio::awaitable<Result<Reply>> ClientSession::open() {
  impl_->talk.limit(impl_->timeouts.greeting);
  auto greeting = co_await impl_->talk.hear();
  if (!greeting) co_return greeting.error();
  if (greeting->intermediate()) {
    close();
    co_return Error(ClientError::unexpected_reply, "greeting: " + greeting->summary());
  }
  if (!greeting->accepted()) co_return greeting;
  auto reply = co_await impl_->introduce(true);
  impl_->talk.transcript().mark_opening();
  co_return reply;
}

asio::awaitable<Result<Reply>> ClientSession::Impl::introduce(bool may_fall_back) {
  talk.limit(timeouts.ehlo);
  auto reply = co_await talk.ask("EHLO " + name);
  if (reply && reply->accepted()) take_ehlo(*reply);
  // RFC 5321 section 3.2: a server that does not know EHLO is asked with HELO, and offers nothing.
  if (reply && reply->permanent() && may_fall_back) {
    talk.limit(timeouts.ehlo);
    reply = co_await talk.ask("HELO " + name);
    if (reply && reply->accepted()) {
      take_ehlo(*reply);
      extensions = Extensions();
    }
  }
  if (reply && reply->intermediate()) {
    talk.close();
    co_return Error(ClientError::unexpected_reply, "EHLO: " + reply->summary());
  }
  talk.limit(kIdleLimit);
  co_return reply;
}

void ClientSession::Impl::take_ehlo(const Reply& reply) {
  introduced = true;
  extensions = Extensions::parse(reply);
  if (under_tls) {
    extensions.starttls = false;
  } else {
    extensions.requiretls = false;  // RFC 8689 section 2: has a meaning under TLS only
  }
  evidence.requiretls_offered = extensions.requiretls;
  const std::string_view first =
      reply.text.empty() ? std::string_view() : std::string_view(reply.text.front());
  peer_helo = sanitise(first.substr(0, first.find(' ')), 255);
}

asio::awaitable<TransactionResult> ClientSession::send(OutgoingMessage message, BodySource& body) {
  TransactionResult refused;
  refused.recipients.resize(message.recipients.size());
  if (!usable() || message.recipients.empty()) {
    refused.broken =
        Error(ClientError::not_usable, usable() ? "no recipients" : "closed, or left by the peer");
    co_return refused;
  }
  if (auto fit = check_needs(message, impl_->extensions, impl_->under_tls); !fit) {
    refused.broken = fit.error();
    co_return refused;
  }
  impl_->talk.transcript().begin_message();
  Transaction transaction(impl_->talk, impl_->extensions, impl_->timeouts, message, body, impl_->unfinished);
  const bool at_once = impl_->may_send_at_once(message);
  auto result = co_await transaction.run(at_once);
  impl_->talk.limit(kIdleLimit);
  impl_->unfinished = transaction.unfinished();
  impl_->proven = transaction.taken();
  co_return result;
}

asio::awaitable<void> ClientSession::quit() {
  if (!impl_->talk.open()) co_return;
  impl_->talk.limit(impl_->timeouts.quit);
  auto farewell = co_await impl_->talk.ask("QUIT");  // of no consequence: the conversation is over
  if (farewell) {
    if (auto* tls = dynamic_cast<TlsStream*>(impl_->talk.stream())) co_await tls->say_goodbye();
  }
  close();
}

void ClientSession::send_content_at_once(bool allowed) { impl_->at_once = allowed; }

void ClientSession::close() { impl_->talk.close(); }

bool ClientSession::usable() const {
  return impl_->introduced && impl_->talk.open() && !impl_->talk.left() && !impl_->talk.unread();
}

const Extensions& ClientSession::extensions() const { return impl_->extensions; }
const TlsEvidence& ClientSession::evidence() const { return impl_->evidence; }
const std::string& ClientSession::peer_helo() const { return impl_->peer_helo; }
Peer ClientSession::remote() const { return impl_->remote; }
Peer ClientSession::local() const { return impl_->local; }
const std::vector<std::string>& ClientSession::transcript() const { return impl_->talk.transcript().lines(); }

}  // namespace holdfast
