#include "mta/log_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const WallTime at =
    WallTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 21)) + 22h + 1min + 31s + 42ms;

TEST(LogFormat, EventsAreOneJsonObjectWithTimeNameAndSchema) {
  Fields fields;
  fields.add("msg", "01H").add_address("to", "a@b.example").add("attempt", 2);
  EXPECT_EQ(
      json_event(at, "delivered", fields.json()),
      R"({"ts":"2026-11-21T22:01:31.042Z","event":"delivered","schema":1,"msg":"01H","to":"a@b.example","attempt":2})");
  EXPECT_EQ(json_event(at, "admin", ""), R"({"ts":"2026-11-21T22:01:31.042Z","event":"admin","schema":1})");
}

TEST(LogFormat, DiagnosticsCarryLevelAndText) {
  EXPECT_EQ(json_diagnostic(at, LogLevel::warning, "no answer", Fields().add("peer", "192.0.2.1").json()),
            R"({"ts":"2026-11-21T22:01:31.042Z","level":"warning","text":"no answer","peer":"192.0.2.1"})");
}

TEST(LogFormat, NothingThatAPeerSaidBreaksALine) {
  const char raw[] = "250 ok\r\n{\"event\":\"delivered\"}\x1b[2J\0\x7f\xff \"quoted\"";
  const std::string hostile(raw, sizeof raw - 1);
  Fields fields;
  fields.add("reply", hostile).add_address("from", "a\"\n@b");
  for (const std::string& line : {json_event(at, "deferred", fields.json()),
                                  json_diagnostic(at, LogLevel::info, hostile, fields.json())}) {
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    boost::system::error_code code;
    const auto parsed = boost::json::parse(line, code);
    EXPECT_FALSE(code) << line;
    EXPECT_NE(parsed.as_object().at("reply").as_string().find("\r\n"), std::string::npos)
        << "kept, but escaped";
  }
  for (const std::string& line : {text_event(at, "deferred", fields.json()),
                                  text_diagnostic(at, LogLevel::info, hostile, fields.json())})
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
}

TEST(LogFormat, TextShowsPlainValuesWithoutQuotes) {
  Fields tls;
  tls.add("version", "TLSv1.3").add("mode", "enforce, strictly");
  Fields fields;
  fields.add("msg", "01H")
      .add("reply", "250 ok, \"really\"")
      .add("attempt", 2)
      .add("tls", tls)
      .add("empty", "");
  EXPECT_EQ(
      text_event(at, "delivered", fields.json()),
      R"(22:01:31.042 delivered msg=01H reply="250 ok, \"really\"" attempt=2 tls={"version":"TLSv1.3","mode":"enforce, strictly"} empty="")");
  EXPECT_EQ(text_diagnostic(at, LogLevel::error, "no space", ""), "22:01:31.042 error: no space");
}

TEST(LogFormat, AddressesAreMaskedWhereverTheyStand) {
  Fields inner;
  inner.add_address("rcpt", "carol@c.example");
  Fields fields;
  fields.add_address("from", "alice@a.example")
      .add("x", "alice@a.example is text")
      .add_address("to", "b@b.example");
  fields.add("in", inner)
      .add_address("null", "")
      .add_address("odd", "\x01y@d.example")
      .add_address("bare", "postmaster");
  EXPECT_EQ(
      apply_addresses(fields, LogAddresses::masked, ""),
      R"("from":"a***@a.example","x":"a***@a.example is text","to":"b***@b.example","in":{"rcpt":"c***@c.example"},)"
      R"("null":"","odd":"***@d.example","bare":"p***")");
  EXPECT_EQ(apply_addresses(fields, LogAddresses::full, ""), fields.json());
}

TEST(LogFormat, HmacKeepsAnAddressRecognisableWithoutTellingIt) {
  Fields one, same, other;
  one.add_address("to", "alice@a.example");
  same.add_address("to", "alice@a.example");
  other.add_address("to", "bob@a.example");
  const std::string hidden = apply_addresses(one, LogAddresses::hmac, "key");
  EXPECT_THAT(hidden, testing::MatchesRegex("\"to\":\"[0-9a-f]{16}@a.example\""));
  EXPECT_EQ(apply_addresses(same, LogAddresses::hmac, "key"), hidden);
  EXPECT_NE(apply_addresses(other, LogAddresses::hmac, "key"), hidden);
  EXPECT_NE(apply_addresses(one, LogAddresses::hmac, "another key"), hidden);
}

}  // namespace
}  // namespace holdfast
