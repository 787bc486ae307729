#include "smtp/base/log.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/fakes/capture.h"

namespace holdfast {
namespace {

std::string escaped(std::string_view value) { return Fields().add("k", value).json().substr(5); }

TEST(Fields, AreTheMembersOfAJsonObject) {
  Fields tls;
  tls.add("version", "TLSv1.3").add("resumed", false);
  Fields fields;
  fields.add("to", "a@b.example").add("attempt", 2).add("delay", 1.5).add("tls", tls);
  EXPECT_EQ(fields.json(),
            R"("to":"a@b.example","attempt":2,"delay":1.5,"tls":{"version":"TLSv1.3","resumed":false})");
}

TEST(Fields, KeepWholeNumbersWhole) {
  EXPECT_EQ(Fields().add("n", std::numeric_limits<std::uint64_t>::max()).json(),
            "\"n\":18446744073709551615");
  EXPECT_EQ(Fields().add("n", std::numeric_limits<std::int64_t>::min()).json(), "\"n\":-9223372036854775808");
  EXPECT_EQ(Fields().add("n", std::numeric_limits<double>::infinity()).json(), "\"n\":null");
}

TEST(Fields, HoldNoLineEndAndNoControlCharacter) {
  EXPECT_EQ(escaped("a\r\nb\t\"\\"), R"(a\r\nb\t\"\\")");
  EXPECT_EQ(escaped(std::string_view("\0\x1b\x7f", 3)), R"(\u0000\u001b\u007f")");
  EXPECT_EQ(escaped("\xc2\x85\xe2\x80\xa8\xe2\x80\xae"), R"(\u0085\u2028\u202e")");
}

TEST(Fields, ReplaceWhatIsNotUtf8) {
  EXPECT_EQ(escaped("grüße \xf0\x9f\x90\x9a"), "grüße \xf0\x9f\x90\x9a\"");
  EXPECT_EQ(escaped("\xff"), R"(\ufffd")");
  EXPECT_EQ(escaped("\xc0\xaf"), R"(\ufffd\ufffd")");            // overlong
  EXPECT_EQ(escaped("\xed\xa0\x80"), R"(\ufffd\ufffd\ufffd")");  // a surrogate
  EXPECT_EQ(escaped("\xe2\x82"), R"(\ufffd\ufffd")");            // cut off
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), R"(\ufffd\ufffd\ufffd\ufffd")");
}

std::vector<std::string> addresses(const Fields& fields) {
  std::vector<std::string> found;
  for (const auto& span : fields.addresses())
    found.push_back(fields.json().substr(span.begin, span.end - span.begin));
  return found;
}

TEST(Fields, TellWhereAddressesStandThroughNesting) {
  Fields inner;
  inner.add("n", 1).add_address("from", "x\"y@a.example");
  Fields outer;
  outer.add_address("to", "b@c.example").add("inner", inner).add_address("cc", "d@e.example");
  Fields all;
  all.add("msg", "01").append(outer);
  EXPECT_EQ(addresses(all), (std::vector<std::string>{"b@c.example", "x\\\"y@a.example", "d@e.example"}));
}

TEST(PrefixLog, PutsItsFieldsBeforeThoseOfAnEvent) {
  CapturingLog log;
  Fields prefix;
  prefix.add("msg", "01");
  const PrefixLog prefixed(log, prefix);
  Fields fields;
  fields.add("code", 250);
  prefixed.event("delivered", fields);
  prefixed.event("attempt", {});
  EXPECT_EQ(log.events("delivered").at(0).fields, R"("msg":"01","code":250)");
  EXPECT_EQ(log.events("attempt").at(0).fields, R"("msg":"01")");
}

}  // namespace
}  // namespace holdfast
