#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/header_address.h"
#include "queue/header_collector.h"
#include "queue/header_section.h"
#include "queue/header_trace.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(HeaderSection, KeepsFieldsVerbatim) {
  const std::string text = "From: a@b.example\r\nSubject: folded\r\n\tover two\r\nX-Empty:\r\n";
  const auto fields = parse_header(text);
  ASSERT_TRUE(fields);
  ASSERT_EQ(fields->size(), 3u);
  EXPECT_EQ((*fields)[1].raw, "Subject: folded\r\n\tover two\r\n");
  EXPECT_EQ((*fields)[1].value(), "folded\r\n\tover two");
  EXPECT_EQ(unfold((*fields)[1].value()), "folded\tover two");
  EXPECT_EQ((*fields)[2].value(), "");
  EXPECT_NE(find_field(*fields, "SUBJECT"), nullptr);
  EXPECT_EQ(find_field(*fields, "To"), nullptr);
}

TEST(HeaderSection, NamesTheLineThatIsNoField) {
  for (const std::string bad :
       {"A: b\r\nno colon here\r\n", "A: b\r\n: nameless\r\n", "A: b\r\nwith space: x\r\n"}) {
    const auto fields = parse_header(bad);
    ASSERT_FALSE(fields) << bad;
    EXPECT_THAT(fields.error().detail, HasSubstr("line 2"));
  }
  EXPECT_FALSE(parse_header(" folded at once\r\n"));
}

TEST(HeaderSection, WritesDatesAsRfc5322Does) {
  EXPECT_EQ(date_time(WallTime(std::chrono::seconds(1'000'000'000))), "Sun, 09 Sep 2001 01:46:40 +0000");
  EXPECT_EQ(date_time(WallTime(std::chrono::seconds(1'709'164'800))), "Thu, 29 Feb 2024 00:00:00 +0000");
}

struct Split {
  std::string header, rest;
  bool empty_line;
  bool operator==(const Split&) const = default;
};

TEST(HeaderCollector, FindsTheEndWhateverTheChunks) {
  const std::pair<std::string, Split> cases[] = {
      {"A: b\r\nC: d\r\n\r\nbody\r\n", {"A: b\r\nC: d\r\n", "body\r\n", true}},
      {"A: b\r\n\r\n", {"A: b\r\n", "", true}},
      {"\r\nbody\r\n", {"", "body\r\n", true}},
      {"A: b\r\nC: d\r\n", {"A: b\r\nC: d\r\n", "", false}},
      {"A: b", {"A: b\r\n", "", false}},
      {"just text\r\nmore\r\n", {"", "just text\r\nmore\r\n", false}},
      {"just text", {"", "just text\r\n", false}},
      {"", {"", "", false}},
  };
  for (const auto& [content, expected] : cases) {
    for (std::size_t step = 1; step <= content.size() + 1; ++step) {
      HeaderCollector collector(1000);
      auto state = HeaderCollector::State::collecting;
      std::string behind;
      for (std::size_t at = 0; at < content.size(); at += step) {
        const std::string chunk = content.substr(at, step);
        if (state == HeaderCollector::State::collecting) {
          state = collector.feed(chunk);
        } else {
          behind += chunk;
        }
      }
      if (state == HeaderCollector::State::collecting) state = collector.end();
      EXPECT_EQ(state, HeaderCollector::State::complete);
      const Split got{std::string(collector.header()), std::string(collector.rest()) + behind,
                      collector.has_empty_line()};
      EXPECT_TRUE(got == expected) << content << " in steps of " << step << ": " << got.header << "|"
                                   << got.rest;
    }
  }
}

TEST(HeaderCollector, IsBounded) {
  HeaderCollector collector(100);
  auto state = HeaderCollector::State::collecting;
  for (int i = 0; i < 20 && state == HeaderCollector::State::collecting; ++i)
    state = collector.feed("X: 1234567\r\n");
  EXPECT_EQ(state, HeaderCollector::State::too_long);
  HeaderCollector one_line(100);
  EXPECT_EQ(one_line.feed(std::string(101, 'x')), HeaderCollector::State::too_long);
}

TEST(HeaderCollector, DecidesAtItsLimitTheSameWhateverTheChunks) {
  using State = HeaderCollector::State;
  const std::pair<std::string, State> cases[] = {
      {"X: " + std::string(95, 'x') + "\r\n\r\nbody", State::complete},  // a header of exactly 100 octets
      {"X: " + std::string(96, 'x') + "\r\n\r\nbody", State::too_long},
      {std::string(100, 'x') + "\r\nbody", State::complete},  // no header
      {std::string(101, 'x') + "\r\nbody", State::too_long},
  };
  for (const auto& [content, expected] : cases) {
    for (std::size_t step = 1; step <= content.size(); ++step) {
      HeaderCollector collector(100);
      auto state = State::collecting;
      for (std::size_t at = 0; at < content.size() && state == State::collecting; at += step)
        state = collector.feed(content.substr(at, step));
      EXPECT_EQ(state, expected) << content << " in steps of " << step;
    }
  }
}

std::vector<std::string> mailboxes(std::string_view value) {
  const auto parsed = parse_mailboxes(value);
  if (!parsed) return {"malformed"};
  std::vector<std::string> out;
  for (const auto& mailbox : *parsed) out.push_back(mailbox.text());
  return out;
}

TEST(HeaderAddress, ReadsWhatPeopleWrite) {
  EXPECT_THAT(mailboxes("a@one.example"), ElementsAre("a@one.example"));
  EXPECT_THAT(mailboxes("Ann Example <a@one.example>"), ElementsAre("a@one.example"));
  EXPECT_THAT(mailboxes("\"Example, Ann\" <a@one.example>"), ElementsAre("a@one.example"));
  EXPECT_THAT(mailboxes("a@one.example (Ann <x@y.example>)"), ElementsAre("a@one.example"));
  EXPECT_THAT(mailboxes("Ann <a@one.example>, Bert\r\n <b@two.example>"),
              ElementsAre("a@one.example", "b@two.example"));
  EXPECT_THAT(mailboxes("team: a@one.example, b@two.example;"),
              ElementsAre("a@one.example", "b@two.example"));
  EXPECT_THAT(mailboxes("=?utf-8?q?J=C3=B6rg?= <j@one.example>"), ElementsAre("j@one.example"));
  EXPECT_THAT(mailboxes("\"a b\"@one.example"), ElementsAre("\"a b\"@one.example"));
  EXPECT_THAT(mailboxes("J. R. \"x\" <j@one.example>"), ElementsAre("j@one.example"));
}

TEST(HeaderAddress, ReadsQuotesCommentsAndLiteralsWhereverTheyMayStand) {
  EXPECT_THAT(mailboxes("Ann <\"a b\"@one.example>"), ElementsAre("\"a b\"@one.example"));
  EXPECT_THAT(mailboxes("<\"a\\\"> b\"@one.example>"), ElementsAre("\"a\\\"> b\"@one.example"));
  EXPECT_THAT(mailboxes("\"An\\\"n <x@y.example>\" <a@one.example>"), ElementsAre("a@one.example"));
  EXPECT_THAT(mailboxes("a@one.example (An\\) (n) <x@y.example>)"), ElementsAre("a@one.example"));
  EXPECT_THAT(mailboxes("a@[192.0.2.1]"), ElementsAre("a@[192.0.2.1]"));
  EXPECT_THAT(mailboxes("< a@one.example\r\n >"), ElementsAre("a@one.example"));
}

TEST(HeaderAddress, RefusesQuotesCommentsAndLiteralsWithoutAnEnd) {
  for (const std::string bad : {"<\"a b@one.example>", "a@[192.0.2.1", "a@one.example (Ann",
                                "<a@one.example(x)>", "\"Ann\\\" <a@one.example>"}) {
    EXPECT_THAT(mailboxes(bad), ElementsAre("malformed")) << bad;
  }
}

TEST(HeaderAddress, TheAddressIsTheOneInBracketsWhateverTheNameSays) {
  EXPECT_THAT(mailboxes("\"boss@corp.example\" <evil@other.example>"), ElementsAre("evil@other.example"));
  EXPECT_THAT(mailboxes("boss@corp.example <evil@other.example>"), ElementsAre("evil@other.example"));
}

TEST(HeaderAddress, RefusesWhatCouldBeReadInTwoWays) {
  for (const std::string bad :
       {"", "<a@one.example> b@two.example", "<a@one.example> <b@two.example>", "<a@one.example", "Ann",
        "\"Ann <a@one.example>", "(Ann a@one.example", "a@one.example b@two.example", "<a@one.example>>",
        "a@one.example <>", "<<a@one.example>>", "team: a@one.example", "a@b@c.example", "a@one.example@"}) {
    EXPECT_THAT(mailboxes(bad), ElementsAre("malformed")) << bad;
  }
}

Envelope from_client() {
  Envelope envelope;
  envelope.trace = {"client.example", "192.0.2.7", "ESMTPSA", "TLSv1.3 TLS_AES_256_GCM_SHA384", "[::]:587"};
  envelope.recipients.push_back({make_mailbox("a", "one.example"), {}});
  return envelope;
}

std::string received(const Envelope& envelope, bool hide = false) {
  QueueId id;
  ReceivedTrace trace{envelope, "relay.example", id, WallTime(std::chrono::seconds(1'000'000'000)), hide};
  return received_field(trace);
}

TEST(HeaderTrace, TellsHowTheMessageCame) {
  EXPECT_EQ(received(from_client()),
            "Received: from client.example ([192.0.2.7])\r\n"
            "\tby relay.example with ESMTPSA\r\n"
            "\tid 00000000000000000000000000 for <a@one.example>\r\n"
            "\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n"
            "\tSun, 09 Sep 2001 01:46:40 +0000\r\n");
}

TEST(HeaderTrace, NamesNoRecipientAmongSeveral) {
  Envelope envelope = from_client();
  envelope.recipients.push_back({make_mailbox("b", "two.example"), {}});
  EXPECT_THAT(received(envelope), testing::Not(HasSubstr(" for ")));
}

TEST(HeaderTrace, HidesTheClientWhenAsked) {
  const std::string field = received(from_client(), true);
  EXPECT_THAT(field, testing::Not(HasSubstr("192.0.2.7")));
  EXPECT_THAT(field, testing::Not(HasSubstr("client.example")));
  EXPECT_THAT(field, HasSubstr("Received: by relay.example with ESMTPSA\r\n"));
}

TEST(HeaderTrace, TheClientCannotBreakTheField) {
  Envelope envelope = from_client();
  envelope.trace.helo = "a\r\nX-Injected: (b;";
  const std::string field = received(envelope);
  EXPECT_THAT(field, testing::Not(HasSubstr("X-Injected: ")));
  EXPECT_TRUE(parse_header(field));
  EXPECT_EQ(parse_header(field)->size(), 1u);
}

TEST(HeaderTrace, WritesIpv6AndOlderCiphers) {
  Envelope envelope = from_client();
  envelope.trace.client_ip = "2001:db8::1";
  envelope.trace.tls = "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256";
  const std::string field = received(envelope);
  EXPECT_THAT(field, HasSubstr("([IPv6:2001:db8::1])"));
  EXPECT_THAT(field, HasSubstr("with ESMTPSA (TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256)"));
}

}  // namespace
}  // namespace holdfast
