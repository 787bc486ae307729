// A stream under TLS: data, ends, errors and deadlines.
#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "smtp/base/base_error.h"
#include "smtp/base/timeout.h"
#include "tests/smtp/tls/tls_pair.h"

namespace holdfast {
namespace {

constexpr const char* kStreamHost = "mx.example.com";

// Counts what passes, and breaks after so many reads.
struct Tap {
  std::size_t writes = 0, reads = 0;
  std::size_t cut_after_reads = std::size_t(-1);
  std::string sent;
};

class TappedStream final : public Stream {
 public:
  TappedStream(std::unique_ptr<Stream> next, Tap& tap) : next_(std::move(next)), tap_(tap) {}
  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    if (tap_.reads++ >= tap_.cut_after_reads) co_return BaseError::closed;
    co_return co_await next_->read_some(buffer);
  }
  asio::awaitable<Result<void>> write(std::string_view data) override {
    ++tap_.writes;
    tap_.sent += data;
    co_return co_await next_->write(data);
  }
  void set_deadline(SteadyTime at) override { next_->set_deadline(at); }
  void close() override { next_->close(); }
  Peer local() const override { return next_->local(); }
  Peer remote() const override { return next_->remote(); }

 private:
  std::unique_ptr<Stream> next_;
  Tap& tap_;
};

// Gives every octet in a read of its own.
class DrippingStream final : public Stream {
 public:
  explicit DrippingStream(std::unique_ptr<Stream> next) : next_(std::move(next)) {}
  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    co_return co_await next_->read_some(buffer.first(1));
  }
  asio::awaitable<Result<void>> write(std::string_view data) override {
    co_return co_await next_->write(data);
  }
  void set_deadline(SteadyTime at) override { next_->set_deadline(at); }
  void close() override { next_->close(); }
  Peer local() const override { return next_->local(); }
  Peer remote() const override { return next_->remote(); }

 private:
  std::unique_ptr<Stream> next_;
};

asio::awaitable<std::string> read_all(Stream& stream, std::size_t wanted) {
  std::string got;
  std::string buffer(50'000, '\0');
  while (got.size() < wanted) {
    auto count = co_await stream.read_some(buffer);
    if (!count) co_return got + "!" + count.error().text();
    got.append(buffer, 0, *count);
  }
  co_return got;
}

asio::awaitable<Result<std::size_t>> wait_for_command(Stream& stream) {
  std::array<char, 4096> buffer;
  co_return co_await stream.read_some(buffer);
}

class TlsStreams : public testing::TestWithParam<int> {
 protected:
  ServerContext server() {
    auto made = server_with(TlsWorld::authority().leaf_for(kStreamHost));
    SSL_CTX_set_max_proto_version(made->get(), GetParam());
    return made;
  }
  TlsWorld::Wrap tapped(Tap& tap) {
    return
        [&tap](std::unique_ptr<Stream> next) { return std::make_unique<TappedStream>(std::move(next), tap); };
  }
  // `wire`: the stream below TLS, to be written behind its back. Valid as long as the stream above it.
  TlsWorld::Wrap shared(Stream*& wire) {
    return [&wire](std::unique_ptr<Stream> next) {
      wire = next.get();
      return next;
    };
  }
  Meeting meet(TlsWorld::Wrap client = {}, TlsWorld::Wrap serving = {}) {
    auto meeting = world.meet(verified_by_pkix(kStreamHost), server(), client, serving);
    EXPECT_TRUE(meeting.met()) << meeting.client.failure.detail;
    return meeting;
  }
  Result<std::size_t> read(Stream& stream) {
    std::string buffer(100, '\0');
    return run(world.context, world.clock, stream.read_some(buffer));
  }

  TlsWorld world;
};
INSTANTIATE_TEST_SUITE_P(Versions, TlsStreams, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

TEST_P(TlsStreams, CarryDataBothWays) {
  auto meeting = meet();
  std::string large;
  for (int i = 0; large.size() < 1'000'000; ++i) large += std::to_string(i) + ",";
  for (auto [from, to] : {std::pair(meeting.client.stream.get(), meeting.server.stream.get()),
                          std::pair(meeting.server.stream.get(), meeting.client.stream.get())}) {
    auto writing = detail::start(world.context, from->write(large));
    EXPECT_EQ(run(world.context, world.clock, read_all(*to, large.size())), large);
    settle(world.context);
    EXPECT_TRUE(detail::finish(*writing));
  }
}

// A relay that stops wakes its waiting sessions: they say 421.
TEST_P(TlsStreams, CanStillWriteAfterACancelledRead) {
  auto meeting = meet();
  std::string buffer(100, '\0');
  auto reading = meeting.server.stream->read_some(buffer);
  auto limited = with_timeout(world.clock, std::chrono::seconds(1), std::move(reading));
  const auto waited = run(world.context, world.clock, std::move(limited));
  ASSERT_FALSE(waited);
  ASSERT_TRUE(run(world.context, world.clock, meeting.server.stream->write("421 4.3.2\r\n")));
  EXPECT_EQ(run(world.context, world.clock, read_all(*meeting.client.stream, 11)), "421 4.3.2\r\n");
}

TEST_P(TlsStreams, WorkOctetByOctet) {
  const auto drip = [](std::unique_ptr<Stream> next) {
    return std::make_unique<DrippingStream>(std::move(next));
  };
  auto meeting = meet(drip, drip);
  ASSERT_TRUE(meeting.met());
  ASSERT_TRUE(run(world.context, world.clock, meeting.client.stream->write("EHLO me\r\n")));
  EXPECT_EQ(run(world.context, world.clock, read_all(*meeting.server.stream, 9)), "EHLO me\r\n");
}

// A TLS 1.3 server sends its tickets behind the handshake; they may come together with its first data.
TEST_P(TlsStreams, ReadDataThatCameTogetherWithTickets) {
  auto generous = server();
  SSL_CTX_clear_options(generous->get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(generous->get(), 2);
  auto meeting = world.meet(verified_by_pkix(kStreamHost), generous);
  ASSERT_TRUE(meeting.met());
  ASSERT_TRUE(run(world.context, world.clock, meeting.server.stream->write("250 ok\r\n")));
  EXPECT_EQ(run(world.context, world.clock, read_all(*meeting.client.stream, 8)), "250 ok\r\n");
}

TEST_P(TlsStreams, SendOneWriteInOneWrite) {
  Tap tap;
  auto meeting = meet(tapped(tap));
  const auto before = tap.writes;
  const std::string several_records(60'000, 'x');
  auto writing = detail::start(world.context, meeting.client.stream->write(several_records));
  EXPECT_EQ(run(world.context, world.clock, read_all(*meeting.server.stream, several_records.size())),
            several_records);
  settle(world.context);
  EXPECT_EQ(tap.writes - before, 1u);
}

TEST_P(TlsStreams, NeverShowPlaintextBelow) {
  Tap tap;
  auto meeting = meet(tapped(tap));
  ASSERT_TRUE(
      run(world.context, world.clock, meeting.client.stream->write("MAIL FROM:<canary@example.com>\r\n")));
  EXPECT_EQ(tap.sent.find("canary"), std::string::npos);
}

TEST_P(TlsStreams, EndInAnOrderlyWayOnlyByACloseNotify) {
  auto meeting = meet();
  run(world.context, world.clock, meeting.server.stream->say_goodbye());
  meeting.server.stream->close();
  const auto result = read(*meeting.client.stream);
  EXPECT_TRUE(result.error().is(BaseError::closed)) << result.error().text();
  EXPECT_TRUE(read(*meeting.client.stream).error().is(BaseError::closed));
}

TEST_P(TlsStreams, TakeATruncationForAnError) {
  auto meeting = meet();
  meeting.server.stream->close();
  EXPECT_TRUE(read(*meeting.client.stream).error().is(TlsError::connection_lost));
  EXPECT_TRUE(read(*meeting.client.stream).error().is(TlsError::connection_lost));
}

TEST_P(TlsStreams, RefuseToWriteAfterGoodbye) {
  auto meeting = meet();
  run(world.context, world.clock, meeting.client.stream->say_goodbye());
  EXPECT_TRUE(
      run(world.context, world.clock, meeting.client.stream->write("x")).error().is(BaseError::closed));
}

TEST_P(TlsStreams, RefuseCleartextAmongTheRecords) {
  Stream* wire = nullptr;
  auto meeting = meet({}, shared(wire));
  ASSERT_TRUE(run(world.context, world.clock, wire->write("250 2.0.0 Ok: queued\r\n")));
  const auto result = read(*meeting.client.stream);
  EXPECT_TRUE(result.error().is(TlsError::protocol) || result.error().is(TlsError::version_too_low))
      << result.error().text();
}

// What came before the end, or before what breaks the connection, is given out first; then the end is told
// as often as somebody asks.
TEST_P(TlsStreams, GiveOutWhatCameBeforeABrokenRecord) {
  Stream* wire = nullptr;
  auto meeting = meet({}, shared(wire));
  ASSERT_TRUE(run(world.context, world.clock, meeting.server.stream->write("250 ok\r\n")));
  ASSERT_TRUE(run(world.context, world.clock, wire->write("250 2.0.0 Ok: queued\r\n")));
  EXPECT_EQ(*read(*meeting.client.stream), 8u);
  const auto result = read(*meeting.client.stream);
  EXPECT_TRUE(result.error().is(TlsError::protocol) || result.error().is(TlsError::version_too_low))
      << result.error().text();
  EXPECT_NE(result.error().detail, "unknown cause");
  EXPECT_EQ(read(*meeting.client.stream).error().text(), result.error().text());
}

TEST_P(TlsStreams, GiveOutWhatCameBeforeTheEnd) {
  auto meeting = meet();
  ASSERT_TRUE(run(world.context, world.clock, meeting.server.stream->write("221 bye\r\n")));
  run(world.context, world.clock, meeting.server.stream->say_goodbye());
  EXPECT_EQ(*read(*meeting.client.stream), 9u);
  EXPECT_TRUE(read(*meeting.client.stream).error().is(BaseError::closed));
}

TEST_P(TlsStreams, ReadSeveralRecordsAtOnce) {
  auto meeting = meet();
  const std::string several_records(60'000, 'x');
  ASSERT_TRUE(run(world.context, world.clock, meeting.client.stream->write(several_records)));
  std::string buffer(64 * 1024, '\0');
  EXPECT_EQ(*run(world.context, world.clock, meeting.server.stream->read_some(buffer)), 60'000u);
}

TEST_P(TlsStreams, FailCleanlyWhereverTheHandshakeIsCut) {
  bool met = false;
  for (std::size_t reads = 0; !met; ++reads) {
    ASSERT_LT(reads, 50u);
    Tap tap;
    tap.cut_after_reads = reads;
    auto meeting = world.meet(verified_by_pkix(kStreamHost), server(), tapped(tap));
    met = meeting.client.stream != nullptr;
    if (meeting.client.stream != nullptr) continue;
    EXPECT_EQ(meeting.client.failure.error, TlsError::connection_lost) << "after " << reads;
  }
}

TEST_P(TlsStreams, KeepTheHandshakesDeadline) {
  auto pair = make_stream_pair(world.context.get_executor(), world.clock);
  pair.client->set_deadline(world.clock.now() + std::chrono::minutes(2));
  TlsClientOptions options;
  options.requirement = verified_by_pkix(kStreamHost);
  auto client = run(world.context, world.clock, tls_connect(std::move(pair.client), world.contexts, options));
  EXPECT_EQ(client.failure.error, TlsError::timed_out);
}

TEST_P(TlsStreams, SurviveAStaleErrorQueue) {
  auto meeting = meet();
  ERR_put_error(ERR_LIB_SSL, 0, SSL_R_BAD_LENGTH, __FILE__, __LINE__);
  ASSERT_TRUE(run(world.context, world.clock, meeting.server.stream->write("hello")));
  ERR_put_error(ERR_LIB_SSL, 0, SSL_R_BAD_LENGTH, __FILE__, __LINE__);
  EXPECT_EQ(run(world.context, world.clock, read_all(*meeting.client.stream, 5)), "hello");
  ERR_clear_error();
}

TEST_P(TlsStreams, CostLittleWhileIdle) {
  const auto in_use = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  const auto context = server();
  std::vector<Meeting> open;
  open.reserve(110);
  const auto meet_and_talk = [&] {
    auto meeting = world.meet(verified_by_pkix(kStreamHost), context);
    ASSERT_TRUE(meeting.met());
    for (int i = 0; i < 10; ++i) {  // in parts: the pipe in between keeps what it has grown to
      ASSERT_TRUE(run(world.context, world.clock, meeting.client.stream->write(std::string(4'000, 'x'))));
      run(world.context, world.clock, read_all(*meeting.server.stream, 4'000));
    }
    // Content was read into a large buffer; now the server waits for a command.
    auto waiting =
        with_timeout(world.clock, std::chrono::seconds(1), wait_for_command(*meeting.server.stream));
    EXPECT_FALSE(run(world.context, world.clock, std::move(waiting)));
    open.push_back(std::move(meeting));
  };
  for (int i = 0; i < 10; ++i) meet_and_talk();
  const auto before = in_use();
  for (int i = 0; i < 100; ++i) meet_and_talk();
  const auto after = in_use();
  if (after <= before) GTEST_SKIP() << "this allocator does not tell";
  const auto each = (after - before) / 100;  // both ends and their pipe
  RecordProperty("octets_per_pair", static_cast<int>(each));
  EXPECT_LT(each, 96u * 1024);
}

TEST(TlsHandshake, RefusesCleartextFromThePeer) {
  for (const char* said :
       {"220 welcome\r\n", "250 2.0.0 Ok: queued\r\n", "HTTP/1.1 200 OK\r\n\r\n", "\0\0\0\0\0\0\0"}) {
    auto server = ScriptedStream::raw({std::string(said) + std::string(100, 'x')});
    TlsWorld world;
    TlsClientOptions options;
    options.requirement.level = TlsLevel::opportunistic;
    auto client = run(world.context, tls_connect(server.stream(), world.contexts, options));
    EXPECT_EQ(client.stream, nullptr);
    EXPECT_TRUE(client.failure);
    EXPECT_NE(client.failure.error, TlsError::connection_lost);
    EXPECT_TRUE(server.closed());
  }
}

}  // namespace
}  // namespace holdfast
