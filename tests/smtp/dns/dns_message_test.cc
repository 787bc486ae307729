#include "smtp/dns/dns_message.h"

#include <gtest/gtest.h>

#include <random>

#include "smtp/base/base_error.h"
#include "smtp/base/stream.h"
#include "tests/smtp/dns/message_builder.h"

namespace holdfast {
namespace {

constexpr std::uint16_t kId = 0x1234;

Result<DnsReply> parse(const Octets& message, std::string_view name, RecordType type) {
  return parse_reply(message, kId, name, type);
}

bool malformed(const Octets& message, std::string_view name, RecordType type) {
  const auto reply = parse(message, name, type);
  return !reply && reply.error().is(BaseError::malformed);
}

TEST(DnsMessage, GivesAddressesOfBothFamilies) {
  MessageBuilder v4(kId, "mx.example", RecordType::a);
  v4.answer("MX.Example", RecordType::a, 300, a_data("192.0.2.1"))
      .answer("mx.example", RecordType::a, 60, a_data("192.0.2.2"));
  auto reply = parse(v4.build(), "mx.example", RecordType::a);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, DnsStatus::ok);
  ASSERT_EQ(reply->records.size(), 2U);
  EXPECT_EQ(ip_text(std::get<IpBytes>(reply->records[1])), "192.0.2.2");
  EXPECT_EQ(reply->ttl, std::chrono::seconds(60));
  EXPECT_FALSE(reply->authenticated);

  const auto ip = *parse_ip("2001:db8::7");
  MessageBuilder v6(kId, "mx.example", RecordType::aaaa, kFlagAd);
  v6.answer("mx.example", RecordType::aaaa, 300, Octets(ip.begin(), ip.end()));
  reply = parse(v6.build(), "mx.example", RecordType::aaaa);
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<IpBytes>(reply->records[0]), ip);
  EXPECT_TRUE(reply->authenticated);
}

TEST(DnsMessage, ReadsMxTxtTlsaAndPtr) {
  MessageBuilder mx(kId, "a.example", RecordType::mx);
  mx.answer("a.example", RecordType::mx, 1, u16(10) + wire_name("MX.a.example"))
      .answer("a.example", RecordType::mx, 1, u16(0) + wire_name(""));
  auto reply = parse(mx.build(), "a.example", RecordType::mx);
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<MxRecord>(reply->records[0]).preference, 10);
  EXPECT_EQ(std::get<MxRecord>(reply->records[0]).exchange, "mx.a.example");
  EXPECT_EQ(std::get<MxRecord>(reply->records[1]).exchange, "");

  MessageBuilder txt(kId, "_mta-sts.a.example", RecordType::txt);
  txt.answer("_mta-sts.a.example", RecordType::txt, 1,
             Octets{8} + text("v=STSv1;") + Octets{0} + Octets{6} + text(" id=1;"));
  reply = parse(txt.build(), "_mta-sts.a.example", RecordType::txt);
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<std::string>(reply->records[0]), "v=STSv1; id=1;");

  MessageBuilder tlsa(kId, "_25._tcp.mx.example", RecordType::tlsa);
  tlsa.answer("_25._tcp.mx.example", RecordType::tlsa, 1, Octets{3, 1, 1, 0, 255});
  reply = parse(tlsa.build(), "_25._tcp.mx.example", RecordType::tlsa);
  ASSERT_TRUE(reply);
  const auto record = std::get<TlsaRecord>(reply->records[0]);
  EXPECT_EQ(record.usage, 3);
  EXPECT_EQ(record.data, std::string("\0\xff", 2));

  MessageBuilder ptr(kId, "1.2.0.192.in-addr.arpa", RecordType::ptr);
  ptr.answer("1.2.0.192.in-addr.arpa", RecordType::ptr, 1, wire_name("Mx.Example"));
  EXPECT_EQ(std::get<std::string>(parse(ptr.build(), "1.2.0.192.in-addr.arpa", RecordType::ptr)->records[0]),
            "mx.example");
}

TEST(DnsMessage, FollowsAliasesInsideTheAnswer) {
  MessageBuilder message(kId, "www.example", RecordType::a);
  // Out of order, and beside a record of another name.
  message.answer("b.example", RecordType::a, 300, a_data("192.0.2.1"))
      .answer("a.example", RecordType::cname, 20, wire_name("b.example"))
      .answer("other.example", RecordType::a, 300, a_data("192.0.2.9"))
      .answer("www.example", RecordType::cname, 300, wire_name("a.example"));
  const auto reply = parse(message.build(), "www.example", RecordType::a);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, DnsStatus::ok);
  EXPECT_EQ(reply->name, "b.example");
  EXPECT_EQ(reply->aliases, 2);
  EXPECT_EQ(reply->records.size(), 1U);
  EXPECT_EQ(reply->ttl, std::chrono::seconds(20));
}

TEST(DnsMessage, SaysWhenAnAliasLeadsOutOfTheAnswer) {
  MessageBuilder message(kId, "www.example", RecordType::a);
  message.answer("www.example", RecordType::cname, 300, wire_name("a.example"));
  auto reply = parse(message.build(), "www.example", RecordType::a);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->unfinished);
  EXPECT_EQ(reply->name, "a.example");
  // With a SOA the server has said that the target has no such record.
  reply = parse(message.soa("example", 60, 60).build(), "www.example", RecordType::a);
  EXPECT_FALSE(reply->unfinished);
  EXPECT_EQ(reply->status, DnsStatus::no_data);
}

TEST(DnsMessage, GivesUpOnAliasesThatLoop) {
  MessageBuilder message(kId, "a.example", RecordType::a);
  message.answer("a.example", RecordType::cname, 300, wire_name("b.example"))
      .answer("b.example", RecordType::cname, 300, wire_name("a.example"));
  EXPECT_EQ(parse(message.build(), "a.example", RecordType::a)->status, DnsStatus::cname_limit);
}

TEST(DnsMessage, AnswersACnameQuestionWithTheAliasItself) {
  MessageBuilder message(kId, "a.example", RecordType::cname);
  message.answer("a.example", RecordType::cname, 300, wire_name("b.example"));
  const auto reply = parse(message.build(), "a.example", RecordType::cname);
  EXPECT_EQ(reply->status, DnsStatus::ok);
  EXPECT_EQ(reply->name, "a.example");
  EXPECT_EQ(std::get<std::string>(reply->records[0]), "b.example");
}

TEST(DnsMessage, TellsAbsenceFromNonexistenceAndKnowsHowLongBothHold) {
  MessageBuilder absent(kId, "a.example", RecordType::mx);
  auto reply = parse(absent.soa("example", 600, 120).build(), "a.example", RecordType::mx);
  EXPECT_EQ(reply->status, DnsStatus::no_data);
  EXPECT_EQ(reply->ttl, std::chrono::seconds(120));
  MessageBuilder missing(kId, "a.example", RecordType::mx, 0, 3);
  reply = parse(missing.soa("example", 30, 120).build(), "a.example", RecordType::mx);
  EXPECT_EQ(reply->status, DnsStatus::nx_domain);
  EXPECT_EQ(reply->ttl, std::chrono::seconds(30));
  MessageBuilder bare(kId, "a.example", RecordType::mx);
  EXPECT_EQ(parse(bare.build(), "a.example", RecordType::mx)->ttl, std::chrono::seconds(0));
}

TEST(DnsMessage, TakesEveryOtherResponseCodeAsAFailure) {
  for (unsigned rcode : {1U, 2U, 4U, 5U, 9U}) {
    MessageBuilder message(kId, "a.example", RecordType::mx, 0, rcode);
    EXPECT_EQ(parse(message.build(), "a.example", RecordType::mx)->status, DnsStatus::server_failure)
        << rcode;
  }
  MessageBuilder extended(kId, "a.example", RecordType::mx);
  EXPECT_EQ(parse(extended.opt(1).build(), "a.example", RecordType::mx)->status, DnsStatus::server_failure);
}

TEST(DnsMessage, BelievesNothingInATruncatedAnswer) {
  MessageBuilder message(kId, "a.example", RecordType::a, kFlagTc);
  message.answer("a.example", RecordType::a, 1, a_data("192.0.2.1"));
  const auto reply = parse(message.build(), "a.example", RecordType::a);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->truncated);
  EXPECT_TRUE(reply->records.empty());
}

TEST(DnsMessage, RefusesAnswersToOtherQuestions) {
  MessageBuilder message(kId, "a.example", RecordType::a);
  message.answer("a.example", RecordType::a, 1, a_data("192.0.2.1"));
  EXPECT_TRUE(malformed(message.build(), "b.example", RecordType::a));
  EXPECT_TRUE(malformed(message.build(), "a.example", RecordType::mx));
  EXPECT_FALSE(parse_reply(message.build(), kId + 1, "a.example", RecordType::a));
  auto query = message.build();
  query[2] &= 0x7f;  // QR
  EXPECT_TRUE(malformed(query, "a.example", RecordType::a));
}

TEST(DnsMessage, FollowsCompressionBackwardsOnly) {
  // The question's name stands at octet 12.
  MessageBuilder good(kId, "mx.example", RecordType::a);
  good.answer(Octets{0xc0, 12}, 1, 60, a_data("192.0.2.1"));
  EXPECT_EQ(parse(good.build(), "mx.example", RecordType::a)->records.size(), 1U);
  MessageBuilder suffix(kId, "example", RecordType::mx);
  suffix.answer(Octets{0xc0, 12}, 15, 60, u16(1) + Octets{2, 'm', 'x', 0xc0, 12});
  EXPECT_EQ(std::get<MxRecord>(parse(suffix.build(), "example", RecordType::mx)->records[0]).exchange,
            "mx.example");

  const std::uint8_t owner_at = 12 + 12 + 4;  // behind the question for mx.example
  for (const std::uint8_t target : {owner_at, static_cast<std::uint8_t>(owner_at + 1), std::uint8_t{255}}) {
    MessageBuilder bad(kId, "mx.example", RecordType::a);
    bad.answer(Octets{0xc0, target}, 1, 60, a_data("192.0.2.1"));
    EXPECT_TRUE(malformed(bad.build(), "mx.example", RecordType::a)) << int{target};
  }
}

TEST(DnsMessage, DoesNotTakeADotInALabelForASeparator) {
  MessageBuilder message(kId, "a.example", RecordType::cname);
  message.answer("a.example", RecordType::cname, 1,
                 Octets{4, 'b', '.', 'c', 0} + Octets{7} + text("example") + Octets{0});
  EXPECT_EQ(std::get<std::string>(parse(message.build(), "a.example", RecordType::cname)->records[0]),
            "b\\046c\\000.example");
}

TEST(DnsMessage, RefusesDataThatBreaksItsFormat) {
  const auto bad = [](RecordType type, const Octets& data) {
    MessageBuilder message(kId, "a.example", type);
    message.answer("a.example", type, 1, data);
    return malformed(message.build(), "a.example", type);
  };
  EXPECT_TRUE(bad(RecordType::a, Octets{1, 2, 3}));
  EXPECT_TRUE(bad(RecordType::a, Octets{1, 2, 3, 4, 5}));
  EXPECT_TRUE(bad(RecordType::aaaa, Octets(15, 1)));
  EXPECT_TRUE(bad(RecordType::mx, u16(10)));
  EXPECT_TRUE(bad(RecordType::mx, u16(10) + wire_name("mx") + Octets{0}));
  EXPECT_TRUE(bad(RecordType::txt, Octets{5, 'a'}));
  EXPECT_TRUE(bad(RecordType::txt, Octets{}));
  EXPECT_TRUE(bad(RecordType::tlsa, Octets{3, 1}));
  EXPECT_TRUE(bad(RecordType::ptr, Octets{3, 'a', 'b'}));
}

TEST(DnsMessage, SurvivesEveryCutAndEveryFlippedOctet) {
  MessageBuilder builder(kId, "a.example", RecordType::mx, kFlagAd);
  builder.answer(Octets{0xc0, 12}, 5, 60, wire_name("b.example"))
      .answer("b.example", RecordType::mx, 60, u16(1) + Octets{2, 'm', 'x', 0xc0, 14})
      .soa("example", 60, 60)
      .opt(0);
  const auto good = builder.build();
  ASSERT_EQ(parse(good, "a.example", RecordType::mx)->status, DnsStatus::ok);
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(malformed(Octets(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)), "a.example",
                          RecordType::mx))
        << size;
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (unsigned value = 0; value < 256; ++value) {
      auto changed = good;
      changed[i] = static_cast<std::uint8_t>(value);
      (void)parse(changed, "a.example", RecordType::mx);  // must return; a sanitizer watches how
    }
  }
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    auto changed = good;
    for (int i = 0; i < 4; ++i) changed[random() % changed.size()] = static_cast<std::uint8_t>(random());
    (void)parse(changed, "a.example", RecordType::mx);
  }
}

}  // namespace
}  // namespace holdfast
