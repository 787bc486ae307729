// SCRAM-SHA-256 through the session, with libgsasl as the client.
#include "smtp/server/sasl_scram.h"

#include <gsasl.h>
#include <gtest/gtest.h>

#include "smtp/wire/base64.h"
#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

class ScramClient {
 public:
  ScramClient(const char* user, const char* password, const char* authorization = "") {
    gsasl_init(&context_);
    gsasl_client_start(context_, "SCRAM-SHA-256", &session_);
    gsasl_property_set(session_, GSASL_AUTHID, user);
    gsasl_property_set(session_, GSASL_PASSWORD, password);
    if (*authorization) gsasl_property_set(session_, GSASL_AUTHZID, authorization);
  }
  ~ScramClient() {
    gsasl_finish(session_);
    gsasl_done(context_);
  }
  ScramClient(const ScramClient&) = delete;
  ScramClient& operator=(const ScramClient&) = delete;

  // The answer to what the server said; in base64.
  std::string answer(std::string_view challenge) {
    char* out = nullptr;
    std::size_t length = 0;
    code = gsasl_step(session_, challenge.data(), challenge.size(), &out, &length);
    std::string text(out == nullptr ? "" : out, length);
    gsasl_free(out);
    return base64_encode(text);
  }
  int code = 0;

 private:
  Gsasl* context_ = nullptr;
  Gsasl_session* session_ = nullptr;
};

struct SecuredScram : SessionHarness {
  SecuredScram()
      : SessionHarness({.mode = ListenerMode::submission, .mechanisms = {"PLAIN", "SCRAM-SHA-256"}}) {
    says("EHLO client.example");
    EXPECT_TRUE(starts_tls());
    EXPECT_NE(says("EHLO client.example").find("AUTH PLAIN SCRAM-SHA-256"), std::string::npos);
  }

  static std::string challenge_of(const std::string& reply) {
    EXPECT_TRUE(reply.starts_with("334 ")) << reply;
    if (reply.size() < 6) return "";
    return base64_decode(reply.substr(4, reply.size() - 6)).value_or("");
  }
};

TEST(Scram, LogsInAndProvesTheServer) {
  SecuredScram client;
  ScramClient scram("app", "secret");
  std::string reply = client.says("AUTH SCRAM-SHA-256 " + scram.answer(""));
  reply = client.says(scram.answer(SecuredScram::challenge_of(reply)));
  EXPECT_EQ(scram.answer(SecuredScram::challenge_of(reply)), "");
  EXPECT_EQ(scram.code, GSASL_OK);
  EXPECT_EQ(client.says(""), "235 2.7.0 Logged in\r\n");
  EXPECT_EQ(client.codes("MAIL FROM:<a@example.com>"), "250");
}

TEST(Scram, WorksWithoutAnInitialResponse) {
  SecuredScram client;
  ScramClient scram("app", "secret");
  EXPECT_EQ(client.says("AUTH SCRAM-SHA-256"), "334 \r\n");
  std::string reply = client.says(scram.answer(""));
  reply = client.says(scram.answer(SecuredScram::challenge_of(reply)));
  scram.answer(SecuredScram::challenge_of(reply));
  EXPECT_EQ(client.codes(""), "235");
}

TEST(Scram, RefusesAWrongPassword) {
  SecuredScram client;
  ScramClient scram("app", "wrong");
  const std::string reply = client.says("AUTH SCRAM-SHA-256 " + scram.answer(""));
  client.says(scram.answer(SecuredScram::challenge_of(reply)));
  EXPECT_EQ(client.waits(std::chrono::seconds(1)), "535 5.7.8 User name or password is wrong\r\n");
}

TEST(Scram, TellsOfALockoutBeforeItGivesSaltAndIterations) {
  SecuredScram client;
  ScramClient scram("app", "secret");
  client.users.forced = AuthVerdict::locked_out;
  EXPECT_EQ(client.codes("AUTH SCRAM-SHA-256 " + scram.answer("")), "454");
  client.users.forced = AuthVerdict::unavailable;
  ScramClient again("app", "secret");
  EXPECT_EQ(client.codes("AUTH SCRAM-SHA-256 " + again.answer("")), "454");
}

TEST(Scram, RefusesToActForAnother) {
  SecuredScram client;
  ScramClient scram("app", "secret", "admin");
  const std::string reply = client.says("AUTH SCRAM-SHA-256 " + scram.answer(""));
  client.says(scram.answer(SecuredScram::challenge_of(reply)));
  EXPECT_EQ(codes_of(client.waits(std::chrono::seconds(1))), "535");
}

TEST(Scram, RefusesChannelBindingThatItDoesNotHave) {
  SecuredScram client;
  EXPECT_EQ(client.codes("AUTH SCRAM-SHA-256 " + base64_encode("p=tls-unique,,n=app,r=abcdefgh")), "501");
  EXPECT_TRUE(client.users.attempts.empty());
}

TEST(Scram, RefusesGarbage) {
  for (const char* text : {"", "n", "n,,", "n,,n=app", "x,,n=app,r=abc", "n,b=x,n=app,r=abc", "n,,n=,r=abc",
                           "n,,n=a=b,r=abc", "n,,m=x,n=app,r=abc"}) {
    EXPECT_FALSE(parse_scram_first(text)) << text;
  }
  EXPECT_EQ(parse_scram_first("n,a=x,n=a=2Cb=3D,r=abc")->user, "a,b=");
  EXPECT_EQ(parse_scram_first("y,a=x,n=app,r=abc")->authorization, "x");
  SecuredScram client;
  EXPECT_EQ(client.codes("AUTH SCRAM-SHA-256 " + base64_encode("n,,n=app,r=abcdefgh") + "\r\n" +
                         base64_encode("garbage")),
            "334 501");
  EXPECT_EQ(client.codes("NOOP"), "250");
}

TEST(Scram, IsOfferedOnlyAsConfigured) {
  SessionHarness client({.mode = ListenerMode::submissions});
  EXPECT_EQ(client.says("EHLO x").find("SCRAM"), std::string::npos);
  EXPECT_EQ(client.codes("AUTH SCRAM-SHA-256"), "504");
}

}  // namespace
}  // namespace holdfast
