#include "smtp/base/tcp_stream.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/task_group.h"
#include "smtp/base/tcp_listener.h"
#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"

namespace holdfast {
namespace {

using asio::ip::tcp;
using std::chrono::hours;
using std::chrono::minutes;

asio::awaitable<std::string> read_until_end(Stream& stream) {
  std::string text;
  std::array<char, 1000> buffer;
  for (;;) {
    const auto count = co_await stream.read_some(buffer);
    if (!count) co_return text + "|" + count.error().code.message();
    text.append(buffer.data(), *count);
  }
}

asio::awaitable<void> write_and_close(Stream& stream, std::string data) {
  const auto written = co_await stream.write(data);
  EXPECT_TRUE(written);
  stream.close();
}

asio::awaitable<void> keep_reading(Stream& stream, std::string& log) {
  log = co_await read_until_end(stream);
}

// Two ends of a connection through the kernel's loopback.
class TcpStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto listener = TcpListener::open(context_.get_executor(), HostPort{"127.0.0.1", 0});
    ASSERT_TRUE(listener) << listener.error().text();
    tcp::socket socket(context_);
    socket.connect(tcp::endpoint(asio::ip::make_address("127.0.0.1"), (*listener)->address().port));
    client_ = make_tcp_stream(std::move(socket), clock_);
    auto accepted = run(context_, (*listener)->accept(context_.get_executor(), clock_));
    ASSERT_TRUE(accepted) << accepted.error().text();
    server_ = std::move(*accepted);
  }

  asio::io_context context_;
  FakeClock clock_;
  std::unique_ptr<Stream> client_, server_;
};

TEST_F(TcpStreamTest, KnowsItsEnds) {
  EXPECT_EQ(client_->remote().text(), "127.0.0.1");
  EXPECT_EQ(client_->remote().port, server_->local().port);
  EXPECT_EQ(server_->remote().port, client_->local().port);
  EXPECT_EQ(server_->remote().literal(), "[127.0.0.1]");
}

TEST_F(TcpStreamTest, CarriesMoreThanTheKernelBuffersAndTellsTheEnd) {
  const std::string data(8 << 20, 'x');
  TaskGroup group(context_.get_executor(), {});
  group.spawn(write_and_close(*client_, data));
  const auto got = run(context_, read_until_end(*server_));
  run(context_, group.drained());
  EXPECT_EQ(got.size(), data.size() + 1 + std::string(describe(BaseError::closed)).size());
  EXPECT_TRUE(got.ends_with(std::string("|") + describe(BaseError::closed)));
}

TEST_F(TcpStreamTest, FailsForGoodWhenItsDeadlinePasses) {
  client_->set_deadline(clock_.now() + minutes(5));
  EXPECT_EQ(run(context_, clock_, read_until_end(*client_)),
            std::string("|") + describe(BaseError::timed_out));
  client_->set_deadline(clock_.now() + minutes(5));
  EXPECT_TRUE(run(context_, client_->write("x")).error().is(BaseError::timed_out));
}

TEST_F(TcpStreamTest, LeavesItsTimerAloneWhileTheDeadlineMovesLater) {
  const auto before = clock_.times_armed();
  for (int i = 1; i <= 100; ++i) client_->set_deadline(clock_.now() + minutes(i));
  EXPECT_EQ(clock_.times_armed() - before, 1U);
  std::string log;
  TaskGroup group(context_.get_executor(), {});
  group.spawn(keep_reading(*client_, log));
  clock_.advance(minutes(99));
  settle(context_);
  EXPECT_EQ(log, "");
  EXPECT_EQ(clock_.times_armed() - before, 2U);  // fired early, armed again
  clock_.advance(minutes(1));
  settle(context_);
  EXPECT_EQ(log, std::string("|") + describe(BaseError::timed_out));
}

TEST_F(TcpStreamTest, MovesItsDeadlineEarlierAtOnce) {
  client_->set_deadline(clock_.now() + hours(1));
  client_->set_deadline(clock_.now() + minutes(1));
  clock_.advance(minutes(1));
  EXPECT_EQ(run(context_, read_until_end(*client_)), std::string("|") + describe(BaseError::timed_out));
}

TEST_F(TcpStreamTest, EndsAPendingReadWhenClosedHere) {
  std::string log;
  TaskGroup group(context_.get_executor(), {});
  group.spawn(keep_reading(*client_, log));
  settle(context_);
  client_->close();
  run(context_, group.drained());
  EXPECT_EQ(log, std::string("|") + describe(BaseError::closed));
}

TEST_F(TcpStreamTest, TellsACancellationFromAFailure) {
  std::string log;
  TaskGroup group(context_.get_executor(), {});
  group.spawn(keep_reading(*client_, log));
  settle(context_);
  group.stop();
  run(context_, group.drained());
  EXPECT_EQ(log, std::string("|") + describe(BaseError::cancelled));
}

TEST_F(TcpStreamTest, TellsABrokenConnectionFromAnOrderlyEnd) {
  // Closing with unread data in the kernel makes it send a reset.
  ASSERT_TRUE(run(context_, client_->write("unread")));
  server_->close();
  EXPECT_EQ(run(context_, read_until_end(*client_)), std::string("|") + describe(BaseError::reset));
}

TEST(TcpListener, NamesTheAddressThatItCannotHave) {
  asio::io_context context;
  const auto first = TcpListener::open(context.get_executor(), HostPort{"127.0.0.1", 0});
  ASSERT_TRUE(first);
  const auto second = TcpListener::open(context.get_executor(), (*first)->address());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find((*first)->address().text()), std::string::npos);
  EXPECT_FALSE(TcpListener::open(context.get_executor(), HostPort{"mx.example", 0}));
}

TEST(TcpAddresses, ConvertBothFamilies) {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::"}) {
    EXPECT_EQ(ip_text(to_bytes(asio::ip::make_address(text))), text);
    EXPECT_EQ(to_address(to_bytes(asio::ip::make_address(text))).to_string(), text);
  }
  Peer peer;
  peer.ip = to_bytes(asio::ip::make_address("2001:db8::1"));
  EXPECT_EQ(peer.literal(), "[IPv6:2001:db8::1]");
}

TEST(StreamPair, CarriesBothWaysUnderBackPressure) {
  asio::io_context context;
  FakeClock clock;
  auto pair = make_stream_pair(context.get_executor(), clock, 10);
  TaskGroup group(context.get_executor(), {});
  group.spawn(write_and_close(*pair.client, std::string(1000, 'x')));
  EXPECT_EQ(run(context, read_until_end(*pair.server)),
            std::string(1000, 'x') + "|" + describe(BaseError::closed));
  run(context, group.drained());
}

TEST(StreamPair, KeepsDeadlines) {
  asio::io_context context;
  FakeClock clock;
  auto pair = make_stream_pair(context.get_executor(), clock);
  pair.server->set_deadline(clock.now() + minutes(1));
  EXPECT_EQ(run(context, clock, read_until_end(*pair.server)),
            std::string("|") + describe(BaseError::timed_out));
}

TEST(ScriptedStream, FailsAtTheStepItIsTold) {
  StreamFault fault{StreamFault::Kind::cut, 2};
  ScriptedStream scripted({"220 hello", "250 ok"}, fault);
  const auto stream = scripted.stream();
  std::array<char, 100> buffer;
  EXPECT_EQ(*run(stream->read_some(buffer)), 11U);
  EXPECT_TRUE(run(stream->write("EHLO a\r\n")));
  EXPECT_TRUE(run(stream->read_some(buffer)).error().is(BaseError::closed));
  EXPECT_EQ(scripted.written_lines(), std::vector<std::string>{"EHLO a"});
  EXPECT_EQ(scripted.unread(), 1U);
}

}  // namespace
}  // namespace holdfast
