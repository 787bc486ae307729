// `log.addresses`: addresses that stand in texts, not in fields of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/log_format.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string masked(std::string_view text) { return hide_addresses(text, LogAddresses::masked, ""); }

TEST(LogAddressesInTexts, AreMaskedWithTheirDomainsKept) {
  const std::pair<const char*, const char*> cases[] = {
      {"550 5.1.1 <bob@d.example>: no such user", "550 5.1.1 <b***@d.example>: no such user"},
      {"User app may not send as <bob.b+x@d.example>; use an address",
       "User app may not send as <b***@d.example>; use an address"},
      {"bob@d.example", "b***@d.example"},
      {"bob@d.example, carol@e.example.", "b***@d.example, c***@e.example."},
      {"rfc822;bob@d.example", "rfc822;b***@d.example"},
      {"mailto:bob@d.example?x", "mailto:b***@d.example?x"},
      {"<\"bob b\\\"c@x\"@d.example>", "<***@d.example>"},
      {"said \"no\" to \"bob b\"@d.example", "said \"no\" to ***@d.example"},
      {"bob@[192.0.2.1] and bob@[IPv6:2001:db8::1]", "b***@[192.0.2.1] and b***@[IPv6:2001:db8::1]"},
      {"b\xc3\xb6"
       "b@d\xc3\xb6.example",
       "b***@d\xc3\xb6.example"},
      {"\xc3\xb6@d.example", "***@d.example"},
      {"bob@ nowhere", "b***@ nowhere"},
      {"bob@", "b***@"},
      {"bob@d@e.example", "b***@d***@e.example"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(masked(text), expected);
}

TEST(LogAddressesInTexts, WhatIsNoneStaysAsItIs) {
  for (const char* text : {"", "no address", "@d.example", "use @d.example or *", "@", " @ ", "\"@d.example",
                           "<@relay.example>", "250 2.0.0 Ok: queued as 01H"})
    EXPECT_EQ(masked(text), text);
}

TEST(LogAddressesInTexts, AreFoundInEveryFieldButTheMessageId) {
  Fields tls;
  tls.add("chain", "CN=x, emailAddress=admin@ca.example");
  Fields fields;
  fields.add_address("from", "bob@d.example")
      .add("user", "bob@d.example")
      .add("code", 550)
      .add("reply", "550 <bob@d.example>:\r\n\"no\" \xe2\x80\xa8 \\ \x01")
      .add("tls", tls)
      .add("message_id", "<1@d.example>");
  EXPECT_EQ(apply_addresses(fields, LogAddresses::masked, ""),
            R"("from":"b***@d.example","user":"b***@d.example","code":550,)"
            R"("reply":"550 <b***@d.example>:\r\n\"no\" \u2028 \\ \u0001",)"
            R"("tls":{"chain":"CN=x, e***@ca.example"},"message_id":"<1@d.example>")");
  EXPECT_EQ(apply_addresses(fields, LogAddresses::full, ""), fields.json());
}

TEST(LogAddressesInTexts, HaveTheHashOfTheirField) {
  Fields fields;
  fields.add_address("to", "bob@d.example").add("reply", "550 <bob@d.example>: no").add("user", "app");
  const std::string shown = apply_addresses(fields, LogAddresses::hmac, "key");
  EXPECT_THAT(shown, Not(HasSubstr("bob")));
  const std::string hash = shown.substr(6, 16);
  EXPECT_EQ(shown, "\"to\":\"" + hash + "@d.example\",\"reply\":\"550 <" + hash +
                       "@d.example>: no\",\"user\":\"app\"");
}

TEST(LogAddressesInTexts, CostOnePassHoweverTheyAreWritten) {
  // As long as all limits together let a reply be; quadratic work would take minutes.
  for (const char* piece : {"@", "a@", "\"@", "\\\"@", "\"a", "x", "a@b"}) {
    std::string text;
    while (text.size() < 1'000'000) text += piece;
    EXPECT_FALSE(masked(text + "@").empty());
  }
}

}  // namespace
}  // namespace holdfast
