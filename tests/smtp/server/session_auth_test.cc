// STARTTLS and AUTH.
#include <gtest/gtest.h>

#include "smtp/wire/base64.h"
#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

std::string plain(std::string_view user, std::string_view password, std::string_view authorization = "") {
  std::string text(authorization);
  text += '\0';
  text += user;
  text += '\0';
  text += password;
  return base64_encode(text);
}

// Under TLS, greeted, not yet logged in.
struct Secured : SessionHarness {
  Secured() : SessionHarness(kSubmission) {
    says("EHLO client.example");
    EXPECT_TRUE(starts_tls());
    says("EHLO client.example");
  }
};

TEST(Starttls, ForgetsWhatWasSaidBefore) {
  SessionHarness client;
  client.says("EHLO before");
  EXPECT_EQ(client.codes("MAIL FROM:<>"), "250");
  EXPECT_EQ(client.says("STARTTLS"), "503 5.5.1 A message is under way; say RSET before STARTTLS\r\n");
  client.says("RSET");
  ASSERT_TRUE(client.starts_tls());
  EXPECT_EQ(client.codes("MAIL FROM:<>"), "503");
  EXPECT_EQ(client.codes("STARTTLS"), "503");
}

TEST(Starttls, NeedsHello) {
  SessionHarness client(kSubmission);
  client.received();
  EXPECT_EQ(client.says("STARTTLS"), "503 5.5.1 Say EHLO first\r\n");
}

// CVE-2011-0411: commands that a man in the middle put behind STARTTLS must not run under the client's TLS.
TEST(Starttls, ThrowsAwayWhatWasPipelinedBehindIt) {
  SessionHarness client;
  client.says("EHLO x");
  EXPECT_EQ(client.codes("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<v@b.example>"),
            "220");
  ASSERT_TRUE(client.handshakes());
  EXPECT_EQ(client.received(), "");
  EXPECT_EQ(client.codes("RCPT TO:<v@b.example>"), "503");
  EXPECT_EQ(client.codes("EHLO x"), "250");
  EXPECT_EQ(client.codes("RCPT TO:<v@b.example>"), "503");
}

TEST(Starttls, ThrowsAwayHalfACommand) {
  SessionHarness client;
  client.says("EHLO x");
  EXPECT_EQ(codes_of(client.sends("STARTTLS\r\nEHLO ev")), "220");
  ASSERT_TRUE(client.handshakes());
  EXPECT_EQ(client.codes("NOOP"), "250");
}

TEST(Starttls, ThatFailsEndsTheSession) {
  SessionHarness client;
  client.says("EHLO x");
  EXPECT_EQ(client.codes("STARTTLS"), "220");
  client.sends("MAIL FROM:<a@b.example>\r\n");
  EXPECT_TRUE(client.session_ended());
  EXPECT_EQ(client.metrics.count("submission_rejections_total{reason=tls_failed}"), 1U);
}

TEST(Starttls, OnAPortOfImplicitTlsWithoutACertificateHangsUpAndSaysSoInTheLog) {
  SessionHarness client({.mode = ListenerMode::submissions, .with_certificate = false});
  client.settle();
  EXPECT_TRUE(client.session_ended());
  EXPECT_EQ(client.received(), "");
  EXPECT_TRUE(client.log.holds("no certificate to show to clients"));
}

TEST(Starttls, HasADeadline) {
  SessionHarness client;
  client.says("EHLO x");
  EXPECT_EQ(client.codes("STARTTLS"), "220");
  client.waits(std::chrono::seconds(61));
  EXPECT_TRUE(client.session_ended());
}

TEST(Auth, IsNotTakenInClear) {
  SessionHarness client(kSubmission);
  client.says("EHLO x");
  EXPECT_EQ(client.says("AUTH PLAIN " + plain("app", "secret")),
            "538 5.7.11 Say STARTTLS first; passwords are not taken in clear\r\n");
  EXPECT_EQ(client.codes("AUTH LOGIN"), "538");
  EXPECT_TRUE(client.users.attempts.empty());
}

TEST(Auth, PlainWithAnInitialResponse) {
  Secured client;
  EXPECT_EQ(client.says("AUTH PLAIN " + plain("app", "secret")), "235 2.7.0 Logged in\r\n");
  EXPECT_EQ(client.codes("MAIL FROM:<a@example.com>"), "250");
  EXPECT_EQ(client.metrics.count("auth_attempts_total{mechanism=PLAIN,result=accepted}"), 1U);
}

TEST(Auth, PlainWithoutAnInitialResponse) {
  Secured client;
  EXPECT_EQ(client.says("auth plain"), "334 \r\n");
  EXPECT_EQ(client.codes(plain("app", "secret")), "235");
}

TEST(Auth, PlainForOneselfButForNobodyElse) {
  Secured client;
  EXPECT_EQ(client.codes("AUTH PLAIN " + plain("app", "secret", "app")), "235");
  Secured other;
  other.says("AUTH PLAIN " + plain("app", "secret", "admin"));
  EXPECT_EQ(codes_of(other.waits(std::chrono::seconds(1))), "535");
}

TEST(Auth, LoginStepByStep) {
  Secured client;
  EXPECT_EQ(client.says("AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n");
  EXPECT_EQ(client.says(base64_encode("app")), "334 UGFzc3dvcmQ6\r\n");
  EXPECT_EQ(client.codes(base64_encode("secret")), "235");
}

TEST(Auth, LoginWithTheNameAtOnce) {
  Secured client;
  EXPECT_EQ(client.says("AUTH LOGIN " + base64_encode("app")), "334 UGFzc3dvcmQ6\r\n");
  EXPECT_EQ(client.codes(base64_encode("secret")), "235");
}

TEST(Auth, CanBeGivenUp) {
  Secured client;
  client.says("AUTH LOGIN");
  EXPECT_EQ(client.says("*"), "501 5.7.0 Authentication given up, as you asked\r\n");
  EXPECT_EQ(client.codes("NOOP"), "250");
  EXPECT_EQ(client.codes("AUTH PLAIN " + plain("app", "secret")), "235");
}

TEST(Auth, RefusesWhatItCannotRead) {
  Secured client;
  EXPECT_EQ(client.codes("AUTH"), "501");
  EXPECT_EQ(client.says("AUTH CRAM-MD5"),
            "504 5.5.4 This mechanism is not offered; see AUTH in the reply to EHLO\r\n");
  EXPECT_EQ(client.codes("AUTH PLAIN not-base64!"), "501");
  EXPECT_EQ(client.codes("AUTH PLAIN ="), "501");
  EXPECT_EQ(client.codes("AUTH PLAIN " + base64_encode("app")), "501");
  EXPECT_EQ(client.codes("AUTH PLAIN " + base64_encode(std::string("\0a\0b\0c", 6))), "501");
  EXPECT_EQ(client.codes("AUTH PLAIN " + base64_encode(std::string("\0a\0", 3))), "501");
  EXPECT_EQ(client.codes("AUTH PLAIN\r\n!!!"), "334 501");
  EXPECT_EQ(client.codes("AUTH PLAIN\r\n" + std::string(13000, 'A')), "334 500");
  EXPECT_EQ(client.codes("AUTH LOGIN\r\n"), "334 501");
  EXPECT_EQ(client.codes("NOOP"), "250");
  EXPECT_TRUE(client.users.attempts.empty());
}

TEST(Auth, EndsAtAResponseWithABareLineEndAndTheConversationGoesOn) {
  Secured client;
  EXPECT_EQ(client.codes("AUTH LOGIN"), "334");
  EXPECT_EQ(client.codes(base64_encode("app") + "\n" + base64_encode("secret")), "500");
  EXPECT_EQ(client.codes("NOOP"), "250");
  EXPECT_TRUE(client.users.attempts.empty());
}

TEST(Auth, SaysWhatIsWrongWithALongResponse) {
  Secured client;
  client.says("AUTH PLAIN");
  EXPECT_EQ(client.says(std::string(13000, 'A')), "500 5.5.6 The response is too long\r\n");
  EXPECT_EQ(client.says(std::string(13000, 'A')), "500 5.5.6 Line longer than 12286 octets\r\n");
  EXPECT_EQ(client.codes("AUTH PLAIN " + plain("app", "secret")), "235");
}

TEST(Auth, IsNeededNowhereInATrustedNetwork) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.says("AUTH PLAIN " + plain("app", "secret")),
            "503 5.5.1 This port takes no AUTH; trusted networks need none\r\n");
  EXPECT_EQ(client.codes("MAIL FROM:<>"), "250");
  EXPECT_TRUE(client.users.attempts.empty());
}

TEST(Auth, TakesLongResponses) {
  Secured client;
  const std::string password(8000, 'x');
  client.says("AUTH PLAIN " + plain("app", password));
  EXPECT_EQ(codes_of(client.waits(std::chrono::seconds(1))), "535");
}

TEST(Auth, HappensOnce) {
  Secured client;
  client.says("AUTH PLAIN " + plain("app", "secret"));
  EXPECT_EQ(client.says("AUTH PLAIN " + plain("app", "secret")), "503 5.5.1 You are logged in already\r\n");
}

TEST(Auth, EndsWithTheUser) {
  Secured client;
  client.says("AUTH PLAIN " + plain("app", "secret"));
  EXPECT_EQ(client.codes("MAIL FROM:<a@example.com>\r\nRSET"), "250 250");
  client.users.identity.senders = {"@other.example"};
  EXPECT_EQ(client.codes("MAIL FROM:<a@example.com>"), "550");
  client.users.suspended = true;
  EXPECT_EQ(client.codes("MAIL FROM:<a@other.example>"), "530");
}

TEST(Auth, FailuresTakeTimeAndThenEndTheSession) {
  Secured client;
  const std::string command = "AUTH PLAIN " + plain("app", "wrong");
  for (const int seconds : {1, 2, 4, 8}) {
    EXPECT_EQ(client.says(command), "");
    EXPECT_EQ(client.waits(std::chrono::seconds(seconds) - std::chrono::milliseconds(1)), "");
    EXPECT_EQ(client.waits(std::chrono::milliseconds(1)), "535 5.7.8 User name or password is wrong\r\n");
  }
  client.says(command);
  EXPECT_EQ(client.waits(std::chrono::seconds(8)),
            "421 4.7.0 Too many failed logins; check user name and password\r\n");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(client.metrics.count("auth_attempts_total{mechanism=PLAIN,result=rejected}"), 5U);
}

TEST(Auth, AnswersAFailureAtTheSameTimeHoweverLongTheCheckTook) {
  for (const int thinks : {0, 20, 700}) {
    Secured client;
    client.users.clock = &client.clock;
    client.users.thinks = std::chrono::milliseconds(thinks);
    EXPECT_EQ(client.says("AUTH PLAIN " + plain("nobody", "wrong")), "");
    if (thinks > 0) {
      EXPECT_EQ(client.waits(std::chrono::milliseconds(thinks)), "");
    }
    EXPECT_EQ(client.waits(std::chrono::milliseconds(999 - thinks)), "") << thinks;
    EXPECT_EQ(codes_of(client.waits(std::chrono::milliseconds(1))), "535") << thinks;
  }
}

TEST(Auth, TellsOfALockoutAndOfTrouble) {
  Secured client;
  client.users.forced = AuthVerdict::locked_out;
  EXPECT_EQ(client.says("AUTH PLAIN " + plain("app", "secret")),
            "454 4.7.0 Too many failed logins from your address; try again later\r\n");
  client.users.forced = AuthVerdict::unavailable;
  EXPECT_EQ(client.says("AUTH PLAIN " + plain("app", "secret")),
            "454 4.7.0 Logins cannot be checked right now; try again in a moment\r\n");
  client.users.forced.reset();
  EXPECT_EQ(client.codes("AUTH PLAIN " + plain("app", "secret")), "235");
}

TEST(Auth, NeverLogsAPassword) {
  Secured client;
  client.says("AUTH PLAIN " + plain("app", "wrong-pass"));
  client.waits(std::chrono::seconds(1));
  client.says(base64_encode("wrong-pass"));
  EXPECT_FALSE(client.log.holds("wrong-pass"));
  EXPECT_FALSE(client.log.holds(base64_encode("wrong-pass")));
}

// --- States and commands
// ------------------------------------------------------------------------------------------

// A fingerprint of the state, by commands that change it as little as can be; made once at the end of each
// case.
std::string state_of(SessionHarness& client) {
  if (client.closed()) return "closed";
  std::string codes;
  for (const char* probe : {"AUTH XX", "RCPT TO:<\xC3\xBC@b.example>", "BDAT 0", "MAIL FROM:<>"})
    codes += client.codes(probe) + " ";
  if (codes == "503 503 503 503 ") return "new";
  if (codes == "538 503 503 530 ") return "greeted";
  if (codes == "504 503 503 530 ") return "secured";
  if (codes == "503 503 503 250 ") return "ready";
  if (codes == "503 553 554 250 ") return "mail";
  if (codes == "503 553 250 503 ") return "rcpt";
  if (codes == "503 503 250 503 ") return "chunks";
  return codes;
}

struct Case {
  const char* command;
  // "code>state after" for each state before; "=" for the state before.
  const char* expected[7];
};

constexpr const char* kStates[7] = {"new", "greeted", "secured", "ready", "mail", "rcpt", "chunks"};

// clang-format off
constexpr Case kTable[] = {
    //                               new             greeted         secured         ready          mail           rcpt            chunks
    {"EHLO x",                     {"250>greeted",  "250>=",        "250>=",        "250>=",       "250>ready",   "250>ready",   "250>ready"}},
    {"HELO x",                     {"250>hgreeted", "250>hgreeted", "250>hsecured", "250>=",       "250>ready",   "250>ready",   "250>ready"}},
    {"EHLO",                       {"501>=",        "501>=",        "501>=",        "501>=",       "501>=",       "501>=",       "501>="}},
    {"MAIL FROM:<>",               {"503>=",        "530>=",        "530>=",        "250>mail",    "503>=",       "503>=",       "503>="}},
    {"MAIL FROM:<x@else.example>", {"503>=",        "530>=",        "530>=",        "550>=",       "503>=",       "503>=",       "503>="}},
    {"MAIL FROM:<bad",             {"501>=",        "501>=",        "501>=",        "501>=",       "501>=",       "501>=",       "501>="}},
    {"RCPT TO:<a@b.example>",      {"503>=",        "503>=",        "503>=",        "503>=",       "250>rcpt",    "250>=",       "503>="}},
    {"RCPT TO:<bad",               {"501>=",        "501>=",        "501>=",        "501>=",       "501>=",       "501>=",       "501>="}},
    {"DATA",                       {"503>=",        "503>=",        "503>=",        "503>=",       "554>=",       "354>ready",   "503>="}},
    {"DATA x",                     {"501>=",        "501>=",        "501>=",        "501>=",       "501>=",       "501>=",       "501>="}},
    {"BDAT 0",                     {"503>=",        "503>=",        "503>=",        "503>=",       "554>ready",   "250>chunks",  "250>="}},
    {"BDAT 0 LAST",                {"503>=",        "503>=",        "503>=",        "503>=",       "554>ready",   "250>ready",   "250>ready"}},
    {"BDAT x",                     {"501>closed",   "501>closed",   "501>closed",   "501>closed",  "501>closed",  "501>closed",  "501>closed"}},
    {"RSET",                       {"250>=",        "250>=",        "250>=",        "250>=",       "250>ready",   "250>ready",   "250>ready"}},
    {"NOOP",                       {"250>=",        "250>=",        "250>=",        "250>=",       "250>=",       "250>=",       "250>="}},
    {"VRFY x",                     {"252>=",        "252>=",        "252>=",        "252>=",       "252>=",       "252>=",       "252>="}},
    {"EXPN x",                     {"502>=",        "502>=",        "502>=",        "502>=",       "502>=",       "502>=",       "502>="}},
    {"HELP",                       {"214>=",        "214>=",        "214>=",        "214>=",       "214>=",       "214>=",       "214>="}},
    {"STARTTLS",                   {"503>=",        "220>new",      "503>=",        "503>=",       "503>=",       "503>=",       "503>="}},
    {"AUTH PLAIN AGFwcABzZWNyZXQ=",{"503>=",        "538>=",        "235>ready",    "503>=",       "503>=",       "503>=",       "503>="}},
    {"AUTH PLAIN !",               {"503>=",        "538>=",        "501>=",        "503>=",       "503>=",       "503>=",       "503>="}},
    {"WHAT",                       {"500>=",        "500>=",        "500>=",        "500>=",       "500>=",       "500>=",       "500>="}},
    {"N\nOOP",                     {"500>=",        "500>=",        "500>=",        "500>=",       "500>ready",   "500>ready",   "500>ready"}},
    {"QUIT",                       {"221>closed",   "221>closed",   "221>closed",   "221>closed",  "221>closed",  "221>closed",  "221>closed"}},
};
// clang-format on

class StatesAndCommands : public testing::TestWithParam<Case> {
 protected:
  static void bring(SessionHarness& client, std::size_t state) {
    client.received();
    if (state >= 1) client.says("EHLO client.example");
    if (state >= 2) {
      ASSERT_TRUE(client.starts_tls());
      client.says("EHLO client.example");
    }
    if (state >= 3) {
      ASSERT_EQ(client.codes("AUTH PLAIN " + plain("app", "secret")), "235");
    }
    if (state >= 4) {
      ASSERT_EQ(client.codes("MAIL FROM:<app@example.com>"), "250");
    }
    if (state >= 5) {
      ASSERT_EQ(client.codes("RCPT TO:<c@d.example>"), "250");
    }
    if (state >= 6) {
      ASSERT_EQ(client.codes("BDAT 0"), "250");
    }
  }
};

TEST_P(StatesAndCommands, AnswerAndNextStateAreThoseOfTheTable) {
  for (std::size_t state = 0; state < std::size(kStates); ++state) {
    SessionHarness client(kSubmission);
    bring(client, state);
    const std::string_view expected = GetParam().expected[state];
    const std::string code(expected.substr(0, 3));
    std::string next(expected.substr(4));
    if (next == "=") next = kStates[state];
    EXPECT_EQ(client.codes(GetParam().command), code) << GetParam().command << " in " << kStates[state];
    if (code == "354") {
      EXPECT_EQ(client.codes("x\r\n."), "250");
    }
    if (code == "220") {
      ASSERT_TRUE(client.handshakes());
    }
    if (next.front() == 'h') {
      // After HELO as after EHLO, but AUTH is an extension (RFC 4954 section 4).
      EXPECT_EQ(client.codes("AUTH XX"), "503");
      EXPECT_EQ(client.codes("MAIL FROM:<>"), "530");
      continue;
    }
    EXPECT_EQ(state_of(client), next) << GetParam().command << " in " << kStates[state];
  }
}

INSTANTIATE_TEST_SUITE_P(Table, StatesAndCommands, testing::ValuesIn(kTable),
                         [](const auto& row) { return "Row" + std::to_string(row.index); });

}  // namespace
}  // namespace holdfast
