// The session around its transactions: greeting, EHLO, QUIT.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "smtp/base/base_error.h"
#include "smtp/client/client_error.h"
#include "smtp/wire/wire_error.h"
#include "tests/smtp/client/scripted_talk.h"

namespace holdfast {
namespace {

using namespace scripted;
using testing::ElementsAre;
using testing::HasSubstr;

// Opening

TEST(ClientSession, GreetsAndLearnsTheExtensions) {
  Talk talk(
      {"220 mx.example ESMTP",
       "250-MX.example greets you\r\n250-pipelining\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-STARTTLS\r\n"
       "250-AUTH PLAIN LOGIN\r\n250-AUTH=LOGIN CRAM-MD5\r\n250-DSN\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
       "250-ENHANCEDSTATUSCODES\r\n250-REQUIRETLS\r\n250 LIMITS RCPTMAX=50 MAILMAX=7 OTHER=1"});
  EXPECT_EQ(talk.open()->code, 250);
  EXPECT_EQ(talk.server.written(), "EHLO relay.example\r\n");
  EXPECT_EQ(talk.session.peer_helo(), "MX.example");
  const auto& peer = talk.session.extensions();
  EXPECT_TRUE(peer.pipelining && peer.eight_bit && peer.starttls && peer.dsn && peer.smtputf8 &&
              peer.chunking && peer.enhanced_status && peer.size_offered);
  EXPECT_EQ(peer.size, 52428800u);
  EXPECT_THAT(peer.auth, ElementsAre("PLAIN", "LOGIN", "CRAM-MD5"));
  EXPECT_EQ(peer.rcpt_max, 50u);
  EXPECT_EQ(peer.mail_max, 7u);
  EXPECT_FALSE(peer.requiretls) << "in clear it has no meaning";
  EXPECT_TRUE(talk.session.usable());
  EXPECT_EQ(talk.session.evidence().version, TlsVersion::none);
}

TEST(ClientSession, StaysSilentWhenTheGreetingRefusesUs) {
  for (const char* greeting : {"554 no service", "421 busy", "450 later"}) {
    Talk talk({greeting});
    EXPECT_EQ(talk.open()->text.at(0), std::string(greeting).substr(4));
    EXPECT_EQ(talk.server.written(), "");
    EXPECT_FALSE(talk.session.usable());
  }
}

// 3yz asks for more of what was begun; before a command nothing was.
TEST(ClientSession, IsBrokenByAGreetingOrHelloThatAsksForMore) {
  Talk greeted({"354 go ahead"});
  const auto greeting = greeted.open();
  ASSERT_FALSE(greeting);
  EXPECT_TRUE(greeting.error().is(ClientError::unexpected_reply));
  EXPECT_EQ(greeted.server.written(), "");
  Talk hello({"220 mx", "334 "});
  const auto opened = hello.open();
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().is(ClientError::unexpected_reply));
  EXPECT_FALSE(hello.session.usable());
}

// They are keys of the history and of metrics.
TEST(Stage, HasANameOfItsOwn) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(Stage::quit); ++i)
    EXPECT_TRUE(names.insert(name(static_cast<Stage>(i))).second) << i;
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(ClientSession, ReadsAGreetingOfManyLines) {
  Talk talk({"220-one\r\n220-two\r\n220 three", "250 mx.example"});
  EXPECT_TRUE(talk.open());
}

TEST(ClientSession, FallsBackToHeloAndThenOffersNothing) {
  Talk talk({"220 old", "502 what?", "250 old.example\r\n"});
  EXPECT_EQ(talk.open()->code, 250);
  EXPECT_EQ(talk.server.written(), "EHLO relay.example\r\nHELO relay.example\r\n");
  EXPECT_FALSE(talk.session.extensions().pipelining);
  EXPECT_EQ(talk.session.peer_helo(), "old.example");
  EXPECT_TRUE(talk.session.usable());
}

TEST(ClientSession, DoesNotFallBackAfterATemporaryRefusal) {
  Talk talk({"220 mx", "451 later"});
  EXPECT_EQ(talk.open()->code, 451);
  EXPECT_EQ(talk.server.written(), "EHLO relay.example\r\n");
  EXPECT_FALSE(talk.session.usable());
}

TEST(ClientSession, IsNotUsableAfterA421) {
  Talk talk({"220 mx", "421 bye"});
  EXPECT_EQ(talk.open()->code, 421);
  EXPECT_FALSE(talk.session.usable());
  EXPECT_TRUE(talk.send(message_to({"to@b.example"})).broken->is(ClientError::not_usable));
}

TEST(ClientSession, RefusesRepliesThatAreNotSmtp) {
  for (const char* reply :
       {"HTTP/1.1 200 OK", "", "25 short", "2x0 odd", "250_underscore", "220-a\r\n250 b"}) {
    Talk talk({reply});
    const auto result = talk.open();
    ASSERT_FALSE(result) << reply;
    EXPECT_TRUE(result.error().is(WireError::malformed)) << result.error().text();
    EXPECT_TRUE(talk.server.closed());
  }
}

TEST(ClientSession, RefusesBareLineEndsInReplies) {
  for (const auto& reply : Lines{"220 a\n220 b\r\n", "220 a\rb\r\n", std::string("220 a\0b\r\n", 9)}) {
    auto server = ScriptedStream::raw({reply});
    FakeClock clock;
    ClientSession session(server.stream(), clock, "relay.example", ClientTimeouts());
    EXPECT_FALSE(run(session.open()));
    EXPECT_TRUE(server.closed());
  }
}

TEST(ClientSession, BoundsALineAndAReply) {
  Talk endless({"220 " + std::string(100'000, 'x')});
  EXPECT_TRUE(endless.open().error().is(WireError::line_too_long));
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "220-more\r\n";
  Talk lines({many + "220 end"});
  EXPECT_TRUE(lines.open().error().is(WireError::reply_too_long));
}

TEST(ClientSession, SanitisesThePeersName) {
  Talk talk({"220 mx", "250 evil\x1b[31m\x7fname hello"});
  ASSERT_TRUE(talk.open());
  for (const char c : talk.session.peer_helo()) EXPECT_GE(c, 0x20);
}

TEST(ClientSession, SaysQuitAndCloses) {
  Talk talk(kPlain, {"221 bye"});
  ASSERT_TRUE(talk.open());
  run(talk.session.quit());
  EXPECT_EQ(talk.said(), "QUIT\r\n");
  EXPECT_TRUE(talk.server.closed());
  run(talk.session.quit());
  EXPECT_EQ(talk.said(), "QUIT\r\n");
}

TEST(ClientSession, QuitsWithoutAnAnswerToo) {
  Talk talk(kPlain);
  ASSERT_TRUE(talk.open());
  run(talk.session.quit());
  EXPECT_TRUE(talk.server.closed());
}

TEST(ClientSession, NeverAuthenticatesInClear) {
  Talk talk({"220 mx", "250-mx\r\n250 AUTH PLAIN LOGIN"});
  ASSERT_TRUE(talk.open());
  EXPECT_TRUE(run(talk.session.authenticate("user", "secret")).error().is(BaseError::not_permitted));
  EXPECT_EQ(talk.said(), "");
}

TEST(ClientSession, SetsADeadlineForEveryStep) {
  struct Recorder final : Stream {
    Recorder(std::unique_ptr<Stream> to, std::vector<Duration>& into, Clock& c)
        : next(std::move(to)), all(into), clock(c) {}
    asio::awaitable<Result<std::size_t>> read_some(std::span<char> b) override {
      all.push_back(deadline);
      return next->read_some(b);
    }
    asio::awaitable<Result<void>> write(std::string_view d) override { return next->write(d); }
    void set_deadline(SteadyTime at) override { deadline = at - clock.now(); }
    void close() override { next->close(); }
    Peer local() const override { return next->local(); }
    Peer remote() const override { return next->remote(); }
    std::unique_ptr<Stream> next;
    std::vector<Duration>& all;
    Clock& clock;
    Duration deadline{0};
  };
  std::vector<Duration> waited;
  FakeClock clock;
  ScriptedStream server(Talk::joined(kPlain, {"250 ok", "250 ok", "354 go", "250 queued", "221 bye"}));
  ClientSession session(std::make_unique<Recorder>(server.stream(), waited, clock), clock, "relay.example",
                        ClientTimeouts());
  ASSERT_TRUE(run(session.open()));
  StringBody body("x\r\n");
  ASSERT_FALSE(run(session.send(message_to({"x@b.example"}), body)).broken);
  run(session.quit());
  using std::chrono::minutes;
  const std::vector<Duration> expected = {
      minutes(5), minutes(5), minutes(5), minutes(5), minutes(2), minutes(10), std::chrono::seconds(10)};
  EXPECT_EQ(waited, expected);  // RFC 5321 section 4.5.3.2
}

}  // namespace
}  // namespace holdfast
