// tests/smtp/client/starttls_talk.h — a client and a server under TLS, both real; the wire between them can
// be touched.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smtp/base/base_error.h"
#include "smtp/client/client_session.h"
#include "tests/smtp/tls/tls_pair.h"

namespace holdfast::starttls {

using Lines = std::vector<std::string>;

inline constexpr const char* kHost = "mx.example.com";

// What a man in the middle does to one direction.
struct Wire {
  enum class Fault { none, cut, flip } fault = Fault::none;
  std::size_t at = 0;  // octet
  std::string seen;    // as it was written
};

class TouchedStream final : public Stream {
 public:
  TouchedStream(std::unique_ptr<Stream> next, Wire& out) : next_(std::move(next)), out_(out) {}
  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    co_return co_await next_->read_some(buffer);
  }
  asio::awaitable<Result<void>> write(std::string_view data) override {
    std::string octets(data);
    const auto begin = out_.seen.size();
    out_.seen += data;
    const bool hit = out_.at >= begin && out_.at < out_.seen.size();
    if (hit && out_.fault == Wire::Fault::flip)
      octets[out_.at - begin] = static_cast<char>(octets[out_.at - begin] ^ 0x20);
    if (out_.fault == Wire::Fault::cut && out_.at < out_.seen.size()) {
      octets.resize(out_.at > begin ? out_.at - begin : 0);
      co_await next_->write(octets);
      next_->close();
      co_return BaseError::reset;
    }
    co_return co_await next_->write(octets);
  }
  void set_deadline(SteadyTime at) override { next_->set_deadline(at); }
  void close() override { next_->close(); }
  Peer local() const override { return next_->local(); }
  Peer remote() const override { return next_->remote(); }

 private:
  std::unique_ptr<Stream> next_;
  Wire& out_;
};

struct ServerLog {
  Lines clear, secured;  // lines that came before and under TLS
  std::string content;
  std::string end;  // how it ended under TLS
  TlsFailure tls;
};

inline asio::awaitable<Result<std::string>> read_to(Stream& stream, std::string end) {
  std::string got;
  while (!got.ends_with(end)) {
    char octet = 0;
    auto count = co_await stream.read_some(std::span<char>(&octet, 1));
    if (!count) co_return count.error();
    got += octet;
  }
  got.resize(got.size() - end.size());
  co_return got;
}

// Says the first line of each script unasked, then answers line by line.
inline asio::awaitable<bool> answer(Stream& stream, Lines replies, bool greet, Lines& heard, ServerLog& log) {
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (i > 0 || !greet) {
      auto line = co_await read_to(stream, "\r\n");
      if (!line) {
        log.end = line.error().text();
        co_return false;
      }
      heard.push_back(*line);
    }
    const std::string reply = replies[i] + "\r\n";
    auto sent = co_await stream.write(reply);
    if (!sent) co_return false;
    if (replies[i].starts_with("354")) {
      auto content = co_await read_to(stream, "\r\n.\r\n");
      if (!content) co_return false;
      log.content = *content;
      const std::string taken = "250 queued\r\n";
      sent = co_await stream.write(taken);
      if (!sent) co_return false;
    }
  }
  co_return true;
}

inline asio::awaitable<void> serve(std::unique_ptr<Stream> stream, ServerContext context, Lines before,
                                   Lines after, bool implicit, std::shared_ptr<ServerLog> log) {
  if (!implicit) {
    const bool ready = co_await answer(*stream, before, true, log->clear, *log);
    if (!ready || context == nullptr) co_return;
  }
  auto handshake = co_await tls_accept(std::move(stream), context);
  log->tls = handshake.failure;
  if (!handshake.stream) co_return;
  const bool done = co_await answer(*handshake.stream, after, implicit, log->secured, *log);
  if (!done) co_return;
  auto rest = co_await read_to(*handshake.stream, "\r\n");
  log->end = rest ? "more: " + *rest : rest.error().text();
}

inline const Lines kBefore = {"220 mx ESMTP", "250-mx\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 STARTTLS",
                              "220 go"};

struct Handshakes {
  explicit Handshakes(Lines before, Lines after, int version = TLS1_3_VERSION) {
    CertificateSpec spec;
    spec.dns = {kHost};
    start(TlsWorld::authority().leaf(spec), std::move(before), std::move(after), version);
  }
  Handshakes(const TestCertificate& shown, Lines before, Lines after) {
    start(shown, std::move(before), std::move(after));
  }

  void start(const TestCertificate& shown, Lines before, Lines after, int version = TLS1_3_VERSION) {
    auto context = server_with(shown);
    SSL_CTX_set_max_proto_version(context->get(), version);
    auto pair = make_stream_pair(world.context.get_executor(), world.clock);
    auto serving = std::make_unique<TouchedStream>(std::move(pair.server), to_client);
    server = detail::start(
        world.context, serve(std::move(serving), context, std::move(before), std::move(after), false, log));
    auto client = std::make_unique<TouchedStream>(std::move(pair.client), to_server);
    session.emplace(std::move(client), world.clock, "relay.example", ClientTimeouts());
  }
  template <class T>
  T wait(asio::awaitable<T> task) {
    return run(world.context, world.clock, std::move(task));
  }
  StartTlsResult try_tls(TlsRequirement wanted = verified_by_pkix(kHost)) {
    const auto opened = wait(session->open());
    EXPECT_TRUE(opened);
    return wait(session->start_tls(world.contexts, std::move(wanted)));
  }
  TlsFailure start_tls(TlsRequirement wanted = verified_by_pkix(kHost)) {
    const StartTlsResult result = try_tls(std::move(wanted));
    EXPECT_FALSE(result.refused);
    return result.failure;
  }

  ~Handshakes() {
    session.reset();
    settle(world.context);  // the server sees the end and ends, too
  }

  Wire to_server, to_client;
  std::shared_ptr<ServerLog> log = std::make_shared<ServerLog>();
  TlsWorld world;
  std::optional<ClientSession> session;
  std::shared_ptr<detail::Outcome<void>> server;
};

}  // namespace holdfast::starttls
