#include "smtp/wire/command.h"

#include <gtest/gtest.h>

#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

template <class C>
C as(std::string_view line) {
  Command command = parse_command(line);
  if (auto* bad = std::get_if<cmd::Bad>(&command))
    ADD_FAILURE() << line << " refused: " << bad->reply.summary();
  C* wanted = std::get_if<C>(&command);
  EXPECT_NE(wanted, nullptr) << line;
  return wanted ? *wanted : C{};
}

std::string refusal(std::string_view line) {
  Command command = parse_command(line);
  auto* bad = std::get_if<cmd::Bad>(&command);
  return bad ? bad->reply.summary() : "taken";
}

TEST(Command, ReadsVerbsInAnyCase) {
  EXPECT_EQ(as<cmd::Hello>("eHlO client.example").name, "client.example");
  EXPECT_TRUE(as<cmd::Hello>("EHLO x").extended);
  EXPECT_FALSE(as<cmd::Hello>("HELO x").extended);
  as<cmd::Rset>("rset");
  as<cmd::Noop>("NOOP whatever");
  as<cmd::Quit>("QUIT ");
  as<cmd::Data>("data");
  as<cmd::StartTls>("StartTLS");
  as<cmd::Help>("HELP me");
  as<cmd::Vrfy>("VRFY user");
  as<cmd::Expn>("EXPN list");
}

TEST(Command, RecordsOddHostNamesWithoutTheirTeeth) {
  EXPECT_EQ(as<cmd::Hello>("EHLO my_pc").name, "my_pc");
  EXPECT_EQ(as<cmd::Hello>("EHLO [192.0.2.1]").name, "[192.0.2.1]");
  EXPECT_EQ(as<cmd::Hello>("EHLO a(b)\"c\\ d\xC3\xBC").name, "a?b??c??d??");
}

TEST(Command, RefusesMissingAndSuperfluousArguments) {
  for (const char* line : {"EHLO", "HELO", "DATA x", "RSET x", "QUIT x", "STARTTLS x", "VRFY", "EXPN", "AUTH",
                           "AUTH PLAIN a b", "AUTH pl@in", "BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST",
                           "BDAT 1 LAST x", "BDAT 99999999999999999999"}) {
    EXPECT_TRUE(refusal(line).starts_with("501 5.5.4 ")) << line << ": " << refusal(line);
  }
}

TEST(Command, DoesNotKnowOtherWords) {
  for (const char* line :
       {"", " ", "FOO", "MAILFROM:<a@b.example>", " EHLO x", "EHLO\tx", "XCLIENT a=b", "DATA\x01"}) {
    EXPECT_TRUE(refusal(line).starts_with("500 5.5.2 ")) << line << ": " << refusal(line);
  }
}

TEST(Command, KnowsABrowserWhenItSeesOne) {
  for (const char* line : {"GET / HTTP/1.1", "POST /x HTTP/1.1", "CONNECT a:25 HTTP/1.1"}) {
    Command command = parse_command(line);
    EXPECT_TRUE(std::get<cmd::Bad>(command).foreign) << line;
    EXPECT_EQ(std::get<cmd::Bad>(command).reply.code, 421) << line;
  }
}

TEST(Command, ReadsMail) {
  EXPECT_EQ(as<cmd::Mail>("MAIL FROM:<a@b.example>").reverse_path.text(), "a@b.example");
  EXPECT_EQ(as<cmd::Mail>("mail from: <a@b.example> ").reverse_path.text(), "a@b.example");
  EXPECT_TRUE(as<cmd::Mail>("MAIL FROM:<>").reverse_path.empty());
  EXPECT_EQ(as<cmd::Mail>("MAIL FROM:<\"a> b\"@b.example> SIZE=1").reverse_path.text(), "\"a> b\"@b.example");
  EXPECT_FALSE(as<cmd::Mail>("MAIL FROM:<\xC3\xBC@b.example> SMTPUTF8").ascii);
}

TEST(Command, RefusesMalformedPathsWithAHint) {
  EXPECT_EQ(refusal("MAIL"), "501 5.5.4 Expected MAIL FROM:<user@example.com>");
  EXPECT_EQ(refusal("RCPT FROM:<a@b.example>"), "501 5.5.4 Expected RCPT TO:<user@example.com>");
  EXPECT_EQ(refusal("MAIL FROM:a@b.example"),
            "501 5.1.7 The address must stand in angle brackets: MAIL FROM:<user@example.com>");
  EXPECT_EQ(refusal("RCPT TO:<a@b.example"),
            "501 5.1.3 The address must stand in angle brackets: RCPT TO:<user@example.com>");
  EXPECT_TRUE(refusal("RCPT TO:<>").starts_with("501 5.1.3 Bad address: "));
  EXPECT_TRUE(refusal("MAIL FROM:<a>").starts_with("501 5.1.7 Bad address: "));
  EXPECT_EQ(refusal("MAIL FROM:<a@b.example>SIZE=1"),
            "501 5.5.4 A space must separate the address from its parameters");
}

TEST(Command, ReadsTheParametersOfMail) {
  const cmd::Mail mail = as<cmd::Mail>(
      "MAIL FROM:<a@b.example> size=1000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ314159+2B "
      "AUTH=a+2Bb@b.example "
      "REQUIRETLS HOLDFOR=60");
  EXPECT_EQ(mail.parameters.size, 1000U);
  EXPECT_TRUE(mail.parameters.eight_bit);
  EXPECT_TRUE(mail.parameters.smtputf8);
  EXPECT_TRUE(mail.parameters.requiretls);
  EXPECT_EQ(mail.parameters.dsn_return, DsnReturn::headers);
  EXPECT_EQ(mail.parameters.envelope_id, "QQ314159+2B");
  EXPECT_EQ(mail.parameters.auth, "a+b@b.example");
  EXPECT_EQ(mail.parameters.hold_for, std::chrono::seconds(60));
}

TEST(Command, RefusesBadParametersOfMail) {
  for (const char* parameters : {"SIZE",
                                 "SIZE=",
                                 "SIZE=x",
                                 "SIZE=-1",
                                 "SIZE=123456789012345678901",
                                 "SIZE=1 size=1",
                                 "BODY=BINARYMIME",
                                 "BODY",
                                 "SMTPUTF8=1",
                                 "RET=ALL",
                                 "RET",
                                 "ENVID=a=b",
                                 "ENVID=+0A",
                                 "ENVID=+FF",
                                 "ENVID",
                                 "AUTH=a",
                                 "AUTH",
                                 "REQUIRETLS=1",
                                 "HOLDFOR=0",
                                 "HOLDFOR=x",
                                 "HOLDFOR=1234567890",
                                 "HOLDUNTIL=tomorrow",
                                 "HOLDFOR=60 HOLDUNTIL=2030-01-01T00:00:00Z",
                                 "=1",
                                 "-X=1",
                                 "SIZE=1\x7f"}) {
    EXPECT_TRUE(refusal(std::string("MAIL FROM:<a@b.example> ") + parameters).starts_with("501 5.5.4 "))
        << parameters;
  }
  EXPECT_EQ(refusal("MAIL FROM:<a@b.example> XYZ=1"), "555 5.5.4 MAIL parameter not supported: XYZ");
  EXPECT_EQ(refusal("MAIL FROM:<a@b.example> NOTIFY=NEVER"),
            "555 5.5.4 MAIL parameter not supported: NOTIFY");
  EXPECT_TRUE(refusal("MAIL FROM:<a@b.example> ENVID=" + std::string(101, 'x')).starts_with("501 5.5.4 "));
}

TEST(Command, TakesASizeBeyondAllNumbersAsTooLarge) {
  EXPECT_EQ(as<cmd::Mail>("MAIL FROM:<> SIZE=99999999999999999999").parameters.size, UINT64_MAX);
}

TEST(Command, ReadsTheParametersOfRcpt) {
  const cmd::Rcpt rcpt =
      as<cmd::Rcpt>("RCPT TO:<a@b.example> NOTIFY=success,Delay ORCPT=rfc822;a+2Bb@c.example");
  EXPECT_EQ(rcpt.parameters.dsn.notify, kNotifySuccess | kNotifyDelay);
  EXPECT_EQ(rcpt.parameters.dsn.original_recipient, "rfc822;a+2Bb@c.example");
  EXPECT_EQ(as<cmd::Rcpt>("RCPT TO:<a@b.example> NOTIFY=NEVER").parameters.dsn.notify, kNotifyNever);
  as<cmd::Rcpt>("RCPT TO:<a@b.example> ORCPT=utf-8;gr\xC3\xBC\xC3\x9F@c.example");
  as<cmd::Rcpt>("RCPT TO:<a@b.example> ORCPT=utf-8;gr\\x{FC}@c.example");
}

TEST(Command, RefusesBadParametersOfRcpt) {
  for (const char* parameters :
       {"NOTIFY", "NOTIFY=", "NOTIFY=ALWAYS", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SUCCESS,", "NOTIFY=,SUCCESS",
        "ORCPT", "ORCPT=a@b.example", "ORCPT=rfc822;", "ORCPT=;a@b.example", "ORCPT=rfc822;a=b",
        "ORCPT=rfc822;a+0Ab", "ORCPT=rfc822;a+zz", "ORCPT=rfc822;\xC3\xBC",
        "ORCPT=rfc822;a ORCPT=rfc822;a"}) {
    EXPECT_TRUE(refusal(std::string("RCPT TO:<a@b.example> ") + parameters).starts_with("501 5.5.4 "))
        << parameters;
  }
  EXPECT_TRUE(refusal("RCPT TO:<a@b.example> SIZE=1").starts_with("555 5.5.4 "));
}

TEST(Command, ReadsBdatAndAuth) {
  EXPECT_EQ(as<cmd::Bdat>("BDAT 1000").size, 1000U);
  EXPECT_FALSE(as<cmd::Bdat>("BDAT 0").last);
  EXPECT_TRUE(as<cmd::Bdat>("BDAT 86 last").last);
  EXPECT_EQ(as<cmd::Auth>("AUTH plain").mechanism, "PLAIN");
  EXPECT_EQ(as<cmd::Auth>("AUTH plain").initial_response, std::nullopt);
  EXPECT_EQ(as<cmd::Auth>("AUTH SCRAM-SHA-256 biws").initial_response, "biws");
  EXPECT_EQ(as<cmd::Auth>("AUTH LOGIN =").initial_response, "=");
}

TEST(DateTime, FollowsRfc3339) {
  using namespace std::chrono;
  const sys_seconds noon = sys_days(2026y / 11 / 21) + 12h;
  EXPECT_EQ(parse_date_time("2026-11-21T12:00:00Z"), noon);
  EXPECT_EQ(parse_date_time("2026-11-21t12:00:00.25z"), noon);
  EXPECT_EQ(parse_date_time("2026-11-21T14:30:00+02:30"), noon);
  EXPECT_EQ(parse_date_time("2026-11-21T11:00:00-01:00"), noon);
  for (const char* text :
       {"2026-11-21", "2026-11-21T12:00:00", "2026-13-21T12:00:00Z", "2026-02-30T12:00:00Z",
        "2026-11-21T24:00:00Z", "2026-11-21T12:00:00.Z", "2026-11-21T12:00:00+2:00", "2026-11-21T12:00:00Zx",
        "2026-11-21 12:00:00Z", "2026-11-21T12:00:00+24:00", "2026-11-21T12:00:00.5"}) {
    EXPECT_EQ(parse_date_time(text), std::nullopt) << text;
  }
}

TEST(ParseDigits, TakesDigitsOnly) {
  EXPECT_EQ(parse_digits("18446744073709551615", 20), UINT64_MAX);
  for (const char* text :
       {"", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616", "123456789012345678901"}) {
    EXPECT_EQ(parse_digits(text, 20), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace holdfast
