// Delivery into Debian's Postfix, an MX that we did not write, over TLS that it is held to.
#include "tests/end_to_end/postfix.h"

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class IntoPostfix : public EndToEnd {};

TEST_F(IntoPostfix, DeliversOverVerifiedTlsUnderEnforce) {
  if (const auto why = Postfix::missing(); !why.empty()) GTEST_SKIP() << why;
  const auto at = world_.reserve_mx_address();
  world_.dns().add("mx.postfix.test", "A", at.ip);
  world_.add_domain("postfix.test", {"mx.postfix.test"});
  world_.publish_policy("postfix.test", "enforce", {"mx.postfix.test"});
  const Postfix postfix(at, world_.authority().issue("mx.postfix.test"));
  ASSERT_EQ(postfix.started().code, 0) << postfix.started().err << postfix.log();
  start();

  const auto end = run_process({"/usr/bin/python3", "-c", R"(
import smtplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=20) as smtp:
    smtp.starttls(context=context)
    smtp.login(sys.argv[3], sys.argv[4])
    smtp.sendmail('shop@sender.test', ['bob@postfix.test'],
                  b'From: shop@sender.test\r\nSubject: into Postfix\r\n\r\n.canary of dots\r\n')
)",
                                relay_->submission().ip, std::to_string(relay_->submission().port),
                                Relay::kUser, Relay::kPassword});
  ASSERT_EQ(end.code, 0) << end.err << relay_->transcript();
  const auto line = wait_for_end("bob@postfix.test", "delivered");
  ASSERT_TRUE(line) << postfix.log();
  EXPECT_EQ((*line)["mx"], "mx.postfix.test");
  EXPECT_EQ((*line)["tls.mode"], "enforce");
  ASSERT_TRUE(eventually([&] { return !postfix.mail().empty(); })) << postfix.log();
  const auto mail = postfix.mail();
  EXPECT_NE(mail.find("\n.canary of dots\n"), std::string::npos) << mail;
  EXPECT_NE(mail.find("Return-Path: <shop@sender.test>"), std::string::npos) << mail;
  EXPECT_NE(mail.find("from relay.test"), std::string::npos) << mail;
  EXPECT_NE(mail.find("(using TLSv1.3 with cipher"), std::string::npos) << mail;
  EXPECT_EQ(wait_for_counts("postfix.test", {{"sts", 1, 0, {}}}), (std::vector<Counted>{{"sts", 1, 0, {}}}));
}

TEST_F(IntoPostfix, IsRefusedWhenPostfixShowsACertificateForAnotherHost) {
  if (const auto why = Postfix::missing(); !why.empty()) GTEST_SKIP() << why;
  const auto at = world_.reserve_mx_address();
  world_.dns().add("mx.postfix.test", "A", at.ip);
  world_.add_domain("postfix.test", {"mx.postfix.test"});
  world_.publish_policy("postfix.test", "enforce", {"mx.postfix.test"});
  const Postfix postfix(at, world_.authority().issue("elsewhere.test"));
  ASSERT_EQ(postfix.started().code, 0) << postfix.started().err << postfix.log();
  start();
  submit({"bob@postfix.test"});
  const auto line = wait_for_end("bob@postfix.test", "deferred");
  ASSERT_TRUE(line) << postfix.log();
  EXPECT_EQ((*line)["enhanced"], "4.7.5");
  EXPECT_EQ(postfix.mail(), "");
}

}  // namespace
}  // namespace holdfast::world
