// AUTH, under TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/client/client_error.h"
#include "tests/smtp/client/starttls_talk.h"

namespace holdfast::starttls {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Result<Reply> authenticate(Handshakes& talk) {
  EXPECT_FALSE(talk.start_tls());
  return talk.wait(talk.session->authenticate("user", "secret"));
}

TEST(Auth, PrefersPlain) {
  Handshakes talk(kBefore, {"250-mx\r\n250 AUTH LOGIN PLAIN", "235 welcome"});
  EXPECT_EQ(authenticate(talk)->code, 235);
  EXPECT_EQ(talk.log->secured.at(1), "AUTH PLAIN AHVzZXIAc2VjcmV0");
  for (const auto& line : talk.session->transcript()) EXPECT_THAT(line, Not(HasSubstr("AHVz")));
}

TEST(Auth, SpeaksLogin) {
  Handshakes talk(kBefore,
                  {"250-mx\r\n250 AUTH LOGIN", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 welcome"});
  EXPECT_EQ(authenticate(talk)->code, 235);
  EXPECT_THAT(talk.log->secured, ElementsAre("EHLO relay.example", "AUTH LOGIN", "dXNlcg==", "c2VjcmV0"));
  for (const auto& line : talk.session->transcript()) {
    EXPECT_THAT(line, Not(HasSubstr("dXNl")));
    EXPECT_THAT(line, Not(HasSubstr("c2Vj")));
  }
}

TEST(Auth, AServerThatEchoesBringsNoPasswordIntoTranscriptOrReply) {
  Handshakes talk(kBefore,
                  {"250-mx\r\n250 AUTH PLAIN",
                   "500-5.5.1 unknown: AUTH PLAIN AHVzZXIAc2VjcmV0\r\n500 5.5.1 c2VjcmV0 means secret"});
  const auto reply = authenticate(talk);
  ASSERT_TRUE(reply);
  std::string seen = reply->summary();
  for (const auto& line : talk.session->transcript()) seen += "\n" + line;
  for (const char* word : {"AHVzZXIAc2VjcmV0", "c2VjcmV0", "secret"}) EXPECT_THAT(seen, Not(HasSubstr(word)));
  EXPECT_THAT(seen, HasSubstr("unknown: AUTH PLAIN (hidden)"));
}

TEST(Auth, ReturnsARefusal) {
  Handshakes plain(kBefore, {"250-mx\r\n250 AUTH PLAIN", "535 5.7.8 no"});
  EXPECT_EQ(authenticate(plain)->code, 535);
  EXPECT_TRUE(plain.session->usable());
  Handshakes login(kBefore, {"250-mx\r\n250 AUTH LOGIN", "334 VXNlcm5hbWU6", "535 5.7.8 no"});
  EXPECT_EQ(authenticate(login)->code, 535);
}

TEST(Auth, IsNotTriedWithoutAMechanism) {
  // What was offered in clear does not count.
  Handshakes talk(kBefore, {"250-mx\r\n250 AUTH CRAM-MD5"});
  EXPECT_TRUE(authenticate(talk).error().is(ClientError::no_mechanism));
  EXPECT_TRUE(talk.session->usable());
}

TEST(Auth, EndsTheSessionWhenItGoesOnForever) {
  Handshakes talk(kBefore, {"250-mx\r\n250 AUTH PLAIN", "334 more"});
  EXPECT_TRUE(authenticate(talk).error().is(ClientError::unexpected_reply));
  EXPECT_FALSE(talk.session->usable());
}

}  // namespace
}  // namespace holdfast::starttls
