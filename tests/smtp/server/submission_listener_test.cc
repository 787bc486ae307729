// Real sockets on loopback.
#include "smtp/server/submission_listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <future>

#include "smtp/base/hop.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"
#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

// A blocking client, so that the test reads like a transcript.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // One line without its CRLF; "" when the server hung up or said nothing for `limit`.
  std::string line(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    std::string text;
    char c = 0;
    while (true) {
      pollfd wait{socket_, POLLIN, 0};
      if (::poll(&wait, 1, static_cast<int>(limit.count())) <= 0) return "";
      if (::recv(socket_, &c, 1, 0) != 1) return "";
      if (c == '\n') return text;
      if (c != '\r') text += c;
    }
  }
  std::string says(const std::string& text) {
    const std::string wire = text + "\r\n";
    if (::send(socket_, wire.data(), wire.size(), MSG_NOSIGNAL) < 0) return "";
    return line();
  }
  bool connected = false;

 private:
  int socket_;
};

// A queue for many threads.
class CountingSink final : public MessageSink {
 public:
  std::optional<Reply> admit(std::uint64_t) override { return std::nullopt; }
  asio::awaitable<Result<Acceptance>> accept(Envelope, BodySource& body) override {
    while (true) {
      auto chunk = co_await body.next();
      if (!chunk) co_return chunk.error();
      if (chunk->empty()) break;
    }
    Acceptance acceptance;
    QueueId id;
    id.bytes.back() = static_cast<std::uint8_t>(++accepted);
    acceptance.id = id;
    co_return acceptance;
  }
  std::atomic<unsigned> accepted = 0;
};

class SubmissionListenerTest : public testing::Test {
 protected:
  SubmissionListenerTest() {
    settings_.hostname = "relay.example.com";
    settings_.auth.trusted_networks = {*Network::parse("127.0.0.0/8")};
    settings_.limits.message_size = 100000;
    settings_.limits.line_length = 998;
    settings_.limits.recipients_per_message = 100;
    listener_settings_.bind = *HostPort::parse("127.0.0.1:0", 0);
    listener_settings_.mode = ListenerMode::trusted;
    listener_settings_.idle_timeout = std::chrono::minutes(5);
    listener_settings_.max_connections = 20;
    listener_settings_.max_connections_per_ip = 0;
  }
  ~SubmissionListenerTest() override {
    if (listener_) stop(std::chrono::seconds(5));
  }

  SubmissionListener& listener() {
    if (listener_) return *listener_;
    source_ = std::make_unique<FixedSettings>(settings_);
    const SessionServices services{sink_, users_, certificate_, *clock_, log_, metrics_, nullptr, nullptr};
    auto opened = SubmissionListener::open(listener_settings_, *source_, services, workers_);
    listener_ = std::move(*opened);
    listener_->start();
    return *listener_;
  }

  void stop(Duration grace) {
    auto stopping = listener_->stop(grace);
    run(context_, std::move(stopping));
    listener_.reset();
  }

  std::uint16_t port() { return listener().address().port; }

  // Waits for what other threads do.
  static bool becomes_true(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  asio::io_context context_;  // before the threads (tests/fakes/run.h)
  Settings settings_;
  ListenerSettings listener_settings_;
  std::unique_ptr<FixedSettings> source_;
  CountingSink sink_;
  OneUser users_;
  ServerCertificate certificate_;
  std::unique_ptr<Clock> clock_ = make_system_clock();
  CapturingLog log_;
  CapturingMetrics metrics_;
  Workers workers_{2, 1};
  std::unique_ptr<SubmissionListener> listener_;
};

TEST_F(SubmissionListenerTest, TellsThePortThatItGot) {
  EXPECT_NE(port(), 0);
  EXPECT_TRUE(log_.holds("127.0.0.1:" + std::to_string(port())));
  Client client(port());
  EXPECT_EQ(client.line(), "220 relay.example.com ESMTP Holdfast");
}

TEST_F(SubmissionListenerTest, SaysWhichAddressCannotBeHad) {
  const std::string taken = listener().address().text();
  auto settings = listener_settings_;
  settings.bind = *HostPort::parse(taken, 0);
  const SessionServices services{sink_, users_, certificate_, *clock_, log_, metrics_, nullptr, nullptr};
  auto opened = SubmissionListener::open(settings, *source_, services, workers_);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().detail.find(taken), std::string::npos);
}

TEST_F(SubmissionListenerTest, TakesMessagesOnAllWorkers) {
  const auto at = port();
  std::vector<std::future<bool>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::async(std::launch::async, [at] {
      Client client(at);
      client.line();
      client.says("HELO x");
      for (int n = 0; n < 20; ++n) {
        client.says("MAIL FROM:<a@b.example>");
        client.says("RCPT TO:<c@d.example>");
        client.says("DATA");
        if (!client.says("x\r\n.").starts_with("250 ")) return false;
      }
      return client.says("QUIT").starts_with("221 ");
    }));
  }
  for (auto& client : clients) EXPECT_TRUE(client.get());
  EXPECT_EQ(sink_.accepted, 160U);
  EXPECT_TRUE(becomes_true([&] { return listener().connections() == 0; }));
}

TEST_F(SubmissionListenerTest, LetsClientsWaitAtTheConnectionLimit) {
  listener_settings_.max_connections = 2;
  const auto at = port();
  auto first = std::make_unique<Client>(at);
  Client second(at);
  EXPECT_NE(first->line(), "");
  EXPECT_NE(second.line(), "");
  Client third(at);
  EXPECT_TRUE(third.connected);  // by the kernel
  EXPECT_EQ(third.line(std::chrono::milliseconds(100)), "");
  first.reset();
  EXPECT_NE(third.line(), "");
  EXPECT_TRUE(log_.holds("near the connection limit"));
}

TEST_F(SubmissionListenerTest, TurnsAnAddressAwayThatHasTooMany) {
  listener_settings_.max_connections_per_ip = 1;
  const auto at = port();
  auto first = std::make_unique<Client>(at);
  EXPECT_TRUE(first->line().starts_with("220 "));
  Client second(at);
  EXPECT_EQ(second.line(), "421 4.7.0 Too many connections from your address; close some");
  first.reset();
  EXPECT_TRUE(becomes_true([&] { return listener().connections() == 0; }));
  Client third(at);
  EXPECT_TRUE(third.line().starts_with("220 "));
}

TEST_F(SubmissionListenerTest, StopsIdleSessionsAtOnceAndWaitsForMessages) {
  const auto at = port();
  Client idle(at), busy(at);
  idle.line();
  busy.line();
  busy.says("HELO x");
  busy.says("MAIL FROM:<a@b.example>");
  busy.says("RCPT TO:<c@d.example>");
  EXPECT_TRUE(busy.says("DATA").starts_with("354 "));
  auto stopped = std::async(std::launch::async, [this] { stop(std::chrono::seconds(30)); });
  EXPECT_TRUE(idle.line().starts_with("421 4.3.2 "));
  EXPECT_TRUE(busy.says("x\r\n.").starts_with("250 "));
  EXPECT_TRUE(busy.line().starts_with("421 4.3.2 "));
  stopped.get();
  EXPECT_EQ(sink_.accepted, 1U);
  Client late(at);
  EXPECT_FALSE(late.connected);
}

TEST_F(SubmissionListenerTest, CutsOffWhatDoesNotEndInTime) {
  const auto at = port();
  Client busy(at);
  busy.line();
  busy.says("HELO x");
  busy.says("MAIL FROM:<a@b.example>");
  busy.says("RCPT TO:<c@d.example>");
  busy.says("DATA");
  stop(std::chrono::milliseconds(50));
  EXPECT_EQ(busy.line(), "");
  EXPECT_EQ(sink_.accepted, 0U);
}

}  // namespace
}  // namespace holdfast
