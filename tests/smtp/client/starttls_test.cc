// STARTTLS, and everything that holds only under TLS. Both sides are real; the wire between them can be
// touched.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/client/client_error.h"
#include "tests/smtp/client/starttls_talk.h"

namespace holdfast::starttls {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

OutgoingMessage canary() {
  OutgoingMessage message;
  message.reverse_path = *Mailbox::parse("canary@a.example");
  OutgoingRecipient to;
  to.address = *Mailbox::parse("canary@b.example");
  message.recipients.push_back(to);
  return message;
}

TEST(StartTls, UpgradesAndForgetsWhatWasSaidBefore) {
  Handshakes talk(kBefore, {"250-secure.example\r\n250-DSN\r\n250-STARTTLS\r\n250 REQUIRETLS"});
  const auto failure = talk.start_tls();
  ASSERT_FALSE(failure) << failure.detail;
  const auto& peer = talk.session->extensions();
  EXPECT_TRUE(peer.dsn && peer.requiretls);
  EXPECT_FALSE(peer.pipelining || peer.starttls);
  EXPECT_TRUE(peer.auth.empty());
  EXPECT_EQ(talk.session->peer_helo(), "secure.example");
  EXPECT_TRUE(talk.session->usable());
  EXPECT_TRUE(satisfies(talk.session->evidence(), verified_by_pkix(kHost)));
  EXPECT_TRUE(talk.session->evidence().requiretls_offered);
  EXPECT_THAT(talk.log->clear, ElementsAre("EHLO relay.example", "STARTTLS"));
  EXPECT_THAT(talk.log->secured, ElementsAre("EHLO relay.example"));
}

TEST(StartTls, IsNotTriedWhereItIsNotOffered) {
  Handshakes talk({"220 mx", "250 mx", "250 ok"}, {});
  EXPECT_EQ(talk.start_tls().error, TlsError::not_offered);
  EXPECT_TRUE(talk.session->usable());
  EXPECT_THAT(talk.log->clear, ElementsAre("EHLO relay.example"));
}

TEST(StartTls, EndsTheSessionWhenItIsRefused) {
  for (const char* reply : {"454 4.7.0 not now", "502 no", "421 closing"}) {
    Handshakes talk({"220 mx", "250-mx\r\n250 STARTTLS", reply}, {});
    const auto failure = talk.start_tls();
    EXPECT_EQ(failure.error, TlsError::refused);
    EXPECT_EQ(failure.code, std::string(reply).substr(0, 3));
    EXPECT_FALSE(talk.session->usable());
  }
  Handshakes odd({"220 mx", "250-mx\r\n250 STARTTLS", "250 sure"}, {});
  EXPECT_EQ(odd.start_tls().error, TlsError::protocol);
}

TEST(StartTls, TakesOctetsBehindTheReplyForAnAttack) {
  Handshakes talk({"220 mx", "250-mx\r\n250 STARTTLS", "220 go\r\n250-mx\r\n250 AUTH PLAIN"}, {});
  EXPECT_EQ(talk.start_tls().error, TlsError::injected);
  EXPECT_FALSE(talk.session->usable());
  EXPECT_TRUE(talk.to_server.seen.ends_with("STARTTLS\r\n")) << "no handshake was begun";
}

TEST(StartTls, KeepsTheReasonAndEachPolicysPart) {
  const auto shown = TlsWorld::authority().leaf_for("other.example");
  Handshakes talk(shown, kBefore, {"250 mx"});
  auto wanted = verified_by_pkix(kHost);
  wanted.dane = dane_for(kHost, {shown.tlsa(3, 1, 1)});
  EXPECT_EQ(talk.start_tls(wanted).error, TlsError::host_mismatch);
  EXPECT_EQ(talk.session->evidence().version, TlsVersion::none);
  EXPECT_EQ(talk.session->evidence().pkix_failure.error, TlsError::host_mismatch);
  EXPECT_EQ(talk.session->evidence().dane, wanted.dane);
  EXPECT_FALSE(talk.session->evidence().chain.empty());
  EXPECT_FALSE(talk.session->usable());
  StringBody body("canary\r\n");
  EXPECT_TRUE(talk.wait(talk.session->send(canary(), body)).broken->is(ClientError::not_usable));
  EXPECT_THAT(talk.to_server.seen, Not(HasSubstr("canary")));
}

TEST(StartTls, WantsRequiretlsOfferedUnderTls) {
  auto wanted = verified_by_pkix(kHost);
  wanted.requiretls = true;
  Handshakes before({"220 mx", "250-mx\r\n250-STARTTLS\r\n250 REQUIRETLS", "220 go"}, {"250 mx", "221 bye"});
  EXPECT_EQ(before.start_tls(wanted).error, TlsError::requiretls_missing);
  EXPECT_FALSE(before.session->usable());
  EXPECT_THAT(before.log->secured, ElementsAre("EHLO relay.example", "QUIT"));

  Handshakes after(kBefore, {"250-mx\r\n250 REQUIRETLS", "250 ok", "250 ok", "354 go"});
  ASSERT_FALSE(after.start_tls(wanted));
  auto message = canary();
  message.requiretls = true;
  StringBody body("x\r\n");
  EXPECT_FALSE(after.wait(after.session->send(message, body)).broken);
  EXPECT_EQ(after.log->secured.at(1), "MAIL FROM:<canary@a.example> REQUIRETLS");
}

// The reply came over TLS: nothing about TLS failed.
TEST(StartTls, HandsOverTheReplyOfAPeerThatRefusesEhloUnderTls) {
  for (const char* reply : {"421 busy", "502 no"}) {
    Handshakes talk(kBefore, {reply});
    const auto result = talk.try_tls();
    EXPECT_FALSE(result.failure) << result.failure.detail;
    ASSERT_TRUE(result.refused);
    EXPECT_EQ(result.refused->summary(), reply);
    EXPECT_FALSE(talk.session->usable());
    EXPECT_THAT(talk.log->secured, ElementsAre("EHLO relay.example"));
    EXPECT_TRUE(satisfies(talk.session->evidence(), verified_by_pkix(kHost)));
    EXPECT_FALSE(talk.session->extensions().pipelining) << "said before TLS";
  }
}

TEST(StartTls, FailsWhenThePeerLeavesWithoutAReplyToEhlo) {
  Handshakes talk(kBefore, {});
  const auto failure = talk.start_tls();
  EXPECT_TRUE(failure);
  EXPECT_FALSE(talk.session->usable());
}

asio::awaitable<bool> answer_and_hang(Stream& stream, Lines replies, std::shared_ptr<ServerLog> log) {
  co_return co_await answer(stream, std::move(replies), true, log->clear, *log);
}

TEST(StartTls, TimesOutWhenThePeerHangs) {
  for (const bool answers_starttls : {false, true}) {
    TlsWorld world;
    auto pair = make_stream_pair(world.context.get_executor(), world.clock);
    Lines replies = {"220 mx", "250-mx\r\n250 STARTTLS"};
    if (answers_starttls) replies.push_back("220 go");
    auto log = std::make_shared<ServerLog>();
    auto server = detail::start(world.context, answer_and_hang(*pair.server, replies, log));
    ClientSession session(std::move(pair.client), world.clock, "relay.example", ClientTimeouts());
    ASSERT_TRUE(run(world.context, world.clock, session.open()));
    const auto start = world.clock.now();
    const auto failure =
        run(world.context, world.clock, session.start_tls(world.contexts, verified_by_pkix(kHost))).failure;
    EXPECT_EQ(failure.error, TlsError::timed_out) << failure.detail;
    EXPECT_EQ(world.clock.now() - start, std::chrono::minutes(2));
    EXPECT_FALSE(session.usable());
  }
}

class StartTlsVersions : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Versions, StartTlsVersions, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

const Lines kAfter = {"250 mx", "250 ok", "250 ok", "354 go", "221 bye"};

TEST_P(StartTlsVersions, CarriesAMessageOfWhichNothingIsSeen) {
  Handshakes talk(kBefore, kAfter, GetParam());
  ASSERT_FALSE(talk.start_tls());
  StringBody body("a canary\r\n");
  const auto result = talk.wait(talk.session->send(canary(), body));
  ASSERT_FALSE(result.broken) << result.broken->text();
  EXPECT_EQ(result.recipients[0].reply.code, 250);
  EXPECT_EQ(talk.log->content, "a canary");
  EXPECT_THAT(talk.to_server.seen, Not(HasSubstr("canary")));
  talk.wait(talk.session->quit());
  settle(talk.world.context);
  // The goodbye came: an orderly end, not a truncation.
  EXPECT_THAT(talk.log->end, HasSubstr(describe(BaseError::closed)));
}

// Whatever is done to an octet of either direction: nothing of the message is seen, and nothing is taken as
// delivered that the peer did not take.
TEST_P(StartTlsVersions, LeaksNothingWhereverTheWireIsTouched) {
  const auto attempt = [](Wire::Fault fault, bool towards_client, std::size_t at, std::size_t& length) {
    Handshakes talk(kBefore, kAfter, GetParam());
    auto& wire = towards_client ? talk.to_client : talk.to_server;
    wire.fault = fault;
    wire.at = at;
    StringBody body("a canary\r\n");
    bool delivered = false;
    const auto opened = talk.wait(talk.session->open());
    if (opened && opened->accepted()) {
      const auto failure = talk.wait(talk.session->start_tls(talk.world.contexts, verified_by_pkix(kHost)));
      if (!failure.failure && !failure.refused) {
        const auto result = talk.wait(talk.session->send(canary(), body));
        delivered = !result.broken && result.recipients[0].reply.accepted();
      }
    }
    EXPECT_THAT(talk.to_server.seen, Not(HasSubstr("canary")));
    EXPECT_TRUE(!delivered || talk.log->content == "a canary");
    length = wire.seen.size();
    return delivered;
  };
  for (const bool towards_client : {false, true}) {
    std::size_t length = 0;
    EXPECT_TRUE(attempt(Wire::Fault::none, towards_client, 0, length));
    int delivered = 0, runs = 0;
    for (const auto fault : {Wire::Fault::cut, Wire::Fault::flip}) {
      for (std::size_t at = 0; at < length; at += 13, ++runs) {
        std::size_t ignored = 0;
        delivered += attempt(fault, towards_client, at, ignored) ? 1 : 0;
      }
    }
    // Only touches of cleartext words that mean nothing (a greeting's text) leave the delivery whole.
    EXPECT_LT(delivered, runs / 4);
  }
}

TEST(StartTls, ServesImplicitTlsToo) {
  TlsWorld world;
  auto pair = make_stream_pair(world.context.get_executor(), world.clock);
  auto log = std::make_shared<ServerLog>();
  const auto server = server_with(TlsWorld::authority().leaf_for(kHost));
  auto serving = detail::start(
      world.context,
      serve(std::move(pair.server), server, {}, {"220 mx", "250-mx\r\n250 REQUIRETLS", "250 ok"}, true, log));
  TlsClientOptions options;
  options.requirement = verified_by_pkix(kHost);
  auto handshake =
      run(world.context, world.clock, tls_connect(std::move(pair.client), world.contexts, options));
  ASSERT_NE(handshake.stream, nullptr);
  ClientSession session(std::move(handshake.stream), world.clock, "relay.example", ClientTimeouts());
  ASSERT_TRUE(run(world.context, world.clock, session.open()));
  EXPECT_TRUE(satisfies(session.evidence(), options.requirement));
  EXPECT_TRUE(session.evidence().requiretls_offered);
}

}  // namespace
}  // namespace holdfast::starttls
