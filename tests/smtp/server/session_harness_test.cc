#include "tests/smtp/server/session_harness.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "smtp/base/base_error.h"
#include "smtp/wire/base64.h"
#include "tests/fakes/run.h"

namespace holdfast {

std::optional<Reply> RecordingSink::admit(std::uint64_t size) {
  admitted.push_back(size);
  return busy;
}

asio::awaitable<Result<Acceptance>> RecordingSink::accept(Envelope envelope, BodySource& body) {
  Message message;
  message.envelope = std::move(envelope);
  while (true) {
    auto chunk = co_await body.next();
    if (!chunk) {
      aborted.push_back(chunk.error().text());
      co_return chunk.error();
    }
    if (chunk->empty()) break;
    longest_chunk = std::max<std::uint64_t>(longest_chunk, chunk->size());
    message.body += *chunk;
    if (refuse_after && message.body.size() >= *refuse_after) break;
  }
  if (failure) co_return *failure;
  Acceptance acceptance;
  if (refusal) {
    acceptance.refusal = *refusal;
    co_return acceptance;
  }
  messages.push_back(std::move(message));
  QueueId id;
  id.bytes.back() = static_cast<std::uint8_t>(messages.size());
  acceptance.id = id;
  co_return acceptance;
}

OneUser::OneUser() {
  identity.user = "app";
  identity.senders = {"@example.com"};
  static const ScramKeys keys = *make_scram("secret", 4096);
  scram = keys;
}

asio::awaitable<AuthResult> OneUser::verify_password(std::string user, Secret secret, IpBytes) {
  const std::string password(secret.text());
  attempts.push_back(user + "/" + password);
  if (clock != nullptr) co_await sleep_for(*clock, thinks);
  AuthResult result;
  if (forced) {
    result.verdict = *forced;
  } else if (user == "app" && password == "secret") {
    result.verdict = AuthVerdict::accepted;
    result.identity = identity;
  }
  co_return result;
}

asio::awaitable<std::optional<Identity>> OneUser::identity_of(std::string) {
  if (clock != nullptr && is_looked_up > Duration(0)) co_await sleep_for(*clock, is_looked_up);
  if (suspended || removed) co_return std::nullopt;
  co_return identity;
}

asio::awaitable<Standing> OneUser::standing_of(std::string) {
  if (removed) co_return Standing::unknown;
  co_return suspended ? Standing::suspended : Standing::good;
}

asio::awaitable<ScramOffer> OneUser::offer_scram(std::string user, IpBytes) {
  attempts.push_back(user + "/scram");
  ScramOffer offer;
  offer.verdict = forced.value_or(AuthVerdict::accepted);
  offer.keys = scram;
  co_return offer;
}

asio::awaitable<AuthResult> OneUser::conclude_scram(std::string user, bool proved, IpBytes) {
  AuthResult result;
  if (proved && user == "app") {
    result.verdict = AuthVerdict::accepted;
    result.identity = identity;
  }
  co_return result;
}

asio::awaitable<Result<bool>> CountingQuota::take(std::string key, Rate, std::uint64_t n) {
  if (broken) co_return Error(BaseError::io, "the store is away");
  taken.push_back(key + " " + std::to_string(n));
  co_return key != empty;
}

ServerCertificate::ServerCertificate() {
  static const auto made = [] {
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const SelfSigned pair = *make_self_signed("relay.example.com", now);
    return *TlsServerContext::from_pem(pair.certificate_pem, pair.private_key_pem, TlsVersion::tls12);
  }();
  context_ = made;
}

struct SessionHarness::Reading {
  Stream* stream = nullptr;
  asio::cancellation_signal stop;
  bool done = false;
};

SessionHarness::SessionHarness(HarnessOptions options) : options_(options) {
  settings.hostname = "relay.example.com";
  settings.postmaster = options.postmaster;
  settings.auth.mechanisms = options.mechanisms;
  settings.auth.unusual_volume = options.unusual_volume;
  settings.delivery.expire = std::chrono::hours(120);
  settings.limits.message_size = options.message_size;
  settings.limits.recipients_per_message = 5;
  settings.limits.line_length = options.line_length;
  settings.limits.long_lines = options.long_lines;
  if (options.from_trusted_network) settings.auth.trusted_networks = {*Network::parse("127.0.0.0/8")};
  certificate.missing = !options.with_certificate;
  ListenerSettings listener;
  listener.bind = *HostPort::parse("[::]:587", 587);
  listener.mode = options.mode;
  listener.idle_timeout = std::chrono::minutes(5);
  listener.min_rate = options.min_rate;

  StreamPair pair = make_stream_pair(context.get_executor(), clock, options.stream_capacity);
  client_ = std::move(pair.client);
  const SessionServices services{sink,    users,  certificate,     clock,   log,
                                 metrics, &quota, &under_pressure, &volumes};
  session = std::make_unique<SubmissionSession>(
      std::move(pair.server), std::make_shared<const Settings>(settings), listener, services);
  asio::co_spawn(context, session->run(), [this](std::exception_ptr exception) {
    ended_ = true;
    if (exception) std::rethrow_exception(exception);
  });
  if (options.mode == ListenerMode::submissions && options.handshakes) {
    handshakes();
  } else {
    reads_again();
  }
  settle();
}

SessionHarness::~SessionHarness() {
  hangs_up();
  stops_reading();
  while (!ended_ && clock.advance_to_next()) settle();
}

namespace {

asio::awaitable<void> read_all(Stream* stream, std::string* into, std::size_t* reads, bool* closed) {
  co_await asio::this_coro::throw_if_cancelled(false);
  std::string buffer(65536, '\0');
  while (true) {
    auto count = co_await stream->read_some(buffer);
    if (!count && !count.error().is(BaseError::cancelled)) *closed = true;
    if (!count) co_return;
    ++*reads;
    into->append(buffer, 0, *count);
  }
}

}  // namespace

void SessionHarness::reads_again() {
  auto reading = std::make_shared<Reading>();
  reading_ = reading;
  asio::co_spawn(context, read_all(client_.get(), &received_, &reads_, &closed_),
                 asio::bind_cancellation_slot(reading->stop.slot(),
                                              [reading](std::exception_ptr) { reading->done = true; }));
}

void SessionHarness::stops_reading() {
  if (!reading_) return;
  reading_->stop.emit(asio::cancellation_type::terminal);
  settle();
  reading_.reset();
}

void SessionHarness::settle() { holdfast::settle(context); }

std::string SessionHarness::received() {
  settle();
  return std::exchange(received_, {});
}

std::string SessionHarness::sends(std::string_view octets) {
  settle();
  auto writing = client_->write(octets);
  asio::co_spawn(context, std::move(writing), asio::detached);
  return received();
}

std::string SessionHarness::codes(std::string_view line) { return codes_of(says(line)); }

std::string SessionHarness::waits(Duration time) {
  settle();
  clock.advance(time);
  return received();
}

bool SessionHarness::handshakes() {
  stops_reading();
  settle();
  TlsClientOptions tls;
  tls.requirement.level = TlsLevel::encrypted;
  tls.requirement.server_name = *DomainName::parse("relay.example.com");
  static const auto contexts = *TlsClientContexts::create("");
  auto connecting = tls_connect(std::move(client_), contexts, tls);
  TlsHandshake handshake = run(context, std::move(connecting));
  if (handshake.failure) {
    client_ = std::move(make_stream_pair(context.get_executor(), clock).client);
    closed_ = true;
    return false;
  }
  client_ = std::move(handshake.stream);
  reads_again();
  settle();
  return true;
}

bool SessionHarness::starts_tls() { return says("STARTTLS").starts_with("220 ") && handshakes(); }

void SessionHarness::logs_in() {
  says("EHLO client.example");
  if (options_.mode == ListenerMode::submission) {
    starts_tls();
    says("EHLO client.example");
  }
  if (options_.mode != ListenerMode::trusted) {
    says("AUTH PLAIN " + base64_encode(std::string("\0app\0secret", 11)));
  }
}

void SessionHarness::hangs_up() {
  client_->close();
  settle();
}

std::string codes_of(std::string_view replies) {
  std::string codes;
  while (!replies.empty()) {
    const std::string_view line = replies.substr(0, replies.find("\r\n"));
    replies.remove_prefix(std::min(line.size() + 2, replies.size()));
    if (line.size() > 3 && line[3] == '-') continue;
    if (!codes.empty()) codes += ' ';
    codes += line.substr(0, 3);
  }
  return codes;
}

namespace {

TEST(SubmissionSession, GreetsWithItsName) {
  SessionHarness client;
  EXPECT_EQ(client.received(), "220 relay.example.com ESMTP Holdfast\r\n");
}

TEST(SubmissionSession, GreetsUnderTlsWhereTlsIsImplicit) {
  SessionHarness client({.mode = ListenerMode::submissions});
  EXPECT_EQ(client.received(), "220 relay.example.com ESMTP Holdfast\r\n");
  EXPECT_NE(client.says("EHLO x").find("250-AUTH PLAIN LOGIN\r\n"), std::string::npos);
}

TEST(SubmissionSession, SaysGoodbye) {
  SessionHarness client;
  client.received();
  EXPECT_EQ(client.says("QUIT"), "221 2.0.0 Bye\r\n");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.session_ended());
}

}  // namespace
}  // namespace holdfast
