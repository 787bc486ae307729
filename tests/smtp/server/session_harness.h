// tests/smtp/server/session_harness.h — a client in hand, a session at the other end of a pair of streams.
//
//   SessionHarness client;                      // mode trusted, from a trusted network
//   EXPECT_EQ(client.says("NOOP"), "250 2.0.0 Ok\r\n");
//
// Everything runs on one io_context that moves only when the test says something; time is a FakeClock.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "smtp/server/submission_session.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/scripted_stream.h"

namespace holdfast {

// A queue that keeps what it gets.
class RecordingSink final : public MessageSink {
 public:
  struct Message {
    Envelope envelope;
    std::string body;
  };
  std::optional<Reply> admit(std::uint64_t size) override;
  asio::awaitable<Result<Acceptance>> accept(Envelope envelope, BodySource& body) override;

  std::vector<Message> messages;
  std::vector<std::uint64_t> admitted;  // sizes
  std::optional<Reply> busy;            // the answer to admit()
  std::optional<Reply> refusal;         // after the whole body, or once refuse_after octets came
  std::optional<std::uint64_t> refuse_after;
  std::optional<Error> failure;      // of the queue itself
  std::vector<std::string> aborted;  // errors of sources
  std::uint64_t longest_chunk = 0;
};

// Knows one user: "app" with the password "secret", who may send as @example.com.
class OneUser final : public Authenticator {
 public:
  asio::awaitable<AuthResult> verify_password(std::string user, Secret password, IpBytes client_ip) override;
  asio::awaitable<std::optional<Identity>> identity_of(std::string user) override;
  asio::awaitable<Standing> standing_of(std::string user) override;
  asio::awaitable<ScramOffer> offer_scram(std::string user, IpBytes client_ip) override;
  asio::awaitable<AuthResult> conclude_scram(std::string user, bool proved, IpBytes client_ip) override;
  Identity identity;
  bool suspended = false;
  bool removed = false;
  Duration is_looked_up{0};  // with a clock, MAIL waits so long
  ScramKeys scram;
  std::optional<AuthVerdict> forced;
  std::vector<std::string> attempts;  // "user/password"
  Clock* clock = nullptr;             // when set, an answer takes `thinks`
  Duration thinks{0};
  OneUser();
};

class CountingQuota final : public Quota {
 public:
  asio::awaitable<Result<bool>> take(std::string key, Rate rate, std::uint64_t n) override;
  std::vector<std::string> taken;  // "key n"
  std::string empty;               // this key has nothing left
  bool broken = false;
};

class ServerCertificate final : public ServerTls {
 public:
  ServerCertificate();
  std::shared_ptr<const TlsServerContext> current() const override { return missing ? nullptr : context_; }
  bool missing = false;

 private:
  std::shared_ptr<const TlsServerContext> context_;
};

struct HarnessOptions {
  ListenerMode mode = ListenerMode::trusted;
  bool from_trusted_network = true;
  std::uint64_t message_size = 100000;
  std::size_t line_length = 998;
  LongLines long_lines = LongLines::refuse;
  std::uint64_t min_rate = 0;
  unsigned unusual_volume = 0;
  const char* postmaster = "postmaster@example.com";
  bool with_certificate = true;
  std::vector<std::string> mechanisms = {"PLAIN", "LOGIN"};
  std::size_t stream_capacity = 1 << 20;
  bool handshakes = true;  // where TLS is implicit
};

inline const HarnessOptions kSubmission{.mode = ListenerMode::submission};

class SessionHarness {
 public:
  explicit SessionHarness(HarnessOptions options = {});
  ~SessionHarness();

  // Sends the text as it is; what came back since the last call.
  std::string sends(std::string_view octets);
  // One line, or several joined by CRLF; CRLF is added.
  std::string says(std::string_view line) { return sends(std::string(line) + "\r\n"); }
  // The codes of the replies, "250 250 354".
  std::string codes(std::string_view line);
  // Waits out time; what came.
  std::string waits(Duration time);
  std::string received();
  std::size_t writes() const { return reads_; }  // pieces in which replies came

  // STARTTLS and the handshake, by a real TLS client. False when it failed.
  bool starts_tls();
  // From the greeting to where MAIL may come, in any mode.
  void logs_in();
  bool handshakes();

  bool closed() const { return closed_; }  // the server has hung up
  bool session_ended() const { return ended_; }
  void hangs_up();
  void stops_reading();
  void reads_again();
  void settle();

  asio::io_context context;
  FakeClock clock;
  CapturingLog log;
  CapturingMetrics metrics;
  RecordingSink sink;
  OneUser users;
  CountingQuota quota;
  std::atomic<bool> under_pressure = false;
  ServerCertificate certificate;
  VolumeWatch volumes{clock.now() - std::chrono::hours(25)};  // past its first day
  std::unique_ptr<SubmissionSession> session;
  Settings settings;

 private:
  struct Reading;

  HarnessOptions options_;
  std::unique_ptr<Stream> client_;
  std::shared_ptr<Reading> reading_;
  std::string received_;
  std::size_t reads_ = 0;
  bool closed_ = false, ended_ = false;
};

// The codes at the start of the last line of each reply.
std::string codes_of(std::string_view replies);

}  // namespace holdfast
