// Delivery into Debian's Exim, an MX that we did not write, signed with DKIM and judged by verifiers that we
// did not write either.
#include "tests/end_to_end/exim.h"

#include <filesystem>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class IntoExim : public EndToEnd {
 protected:
  // An enforcing domain whose MX it is, and a relay that signs for sender.test.
  void open() {
    const auto at = world_.reserve_mx_address();
    world_.dns().add("mx.exim.test", "A", at.ip);
    world_.add_domain("exim.test", {"mx.exim.test"});
    world_.publish_policy("exim.test", "enforce", {"mx.exim.test"});
    exim_ = std::make_unique<Exim>(at, world_.authority().issue("mx.exim.test"));
    ASSERT_TRUE(eventually([&] { return exim_->log().find("daemon started") != std::string::npos; }))
        << exim_->log();
    const auto keys = folder_.path() / "keys/sender.test";
    std::filesystem::create_directories(keys);
    const auto key = (keys / "s1.pem").string();
    ASSERT_EQ(run_process({"openssl", "genrsa", "-out", key, "2048"}).code, 0);
    std::filesystem::permissions(key, std::filesystem::perms(0600));
    const auto text =
        run_process({"sh", "-c", "openssl rsa -in " + key + " -pubout -outform DER | base64 -w0"});
    record_ = "v=DKIM1; k=rsa; p=" + text.out;
    start({{"dkim.sign", "\"sender-domain\""},
           {"dkim.selector", "\"s1\""},
           {"dkim.key_dir", "\"" + (folder_.path() / "keys").string() + "\""},
           {"delivery.retry", "[\"1h\"]"}});
  }

  TempDir folder_;
  std::unique_ptr<Exim> exim_;
  std::string record_;
};

TEST_F(IntoExim, DeliversOverVerifiedTlsInChunksWithASignatureThatOthersVerify) {
  if (const auto why = Exim::missing(); !why.empty()) GTEST_SKIP() << why;
  open();
  // Larger than a write, with the lines that dot stuffing is about; in BDAT they go as they are.
  std::string content = "From: Shop <shop@sender.test>\r\nTo: bob@exim.test\r\nSubject: into Exim\r\n\r\n";
  for (int i = 0; i < 8000; ++i) content += ".line " + std::to_string(i) + " of a long message\r\n..\r\n";
  submit({"bob@exim.test"}, content);
  const auto line = wait_for_end("bob@exim.test", "delivered");
  ASSERT_TRUE(line) << exim_->log();
  EXPECT_EQ((*line)["mx"], "mx.exim.test");
  EXPECT_EQ((*line)["tls.mode"], "enforce");
  ASSERT_TRUE(eventually([&] { return !exim_->mails().empty(); })) << exim_->log();
  const std::string mail = exim_->mails().front();
  EXPECT_NE(mail.find("Return-path: <shop@sender.test>"), std::string::npos) << mail.substr(0, 2000);
  EXPECT_NE(mail.find("with esmtps"), std::string::npos) << mail.substr(0, 2000);
  EXPECT_NE(mail.find("\n.line 7999 of a long message\n..\n"), std::string::npos);
  const std::string log = exim_->log();
  const std::string taken = log.substr(std::min(log.find("<="), log.size()));
  EXPECT_NE(taken.find(" SNI=mx.exim.test"), std::string::npos) << taken;
  EXPECT_NE(taken.find(" K "), std::string::npos) << "CHUNKING was used\n" << taken;

  const auto file = folder_.path() / "mail";
  std::ofstream(file, std::ios::binary) << mail;
  if (run_process({"/usr/bin/python3", "-c", "import dkim"}).code == 0) {
    const std::string program = std::string(HOLDFAST_SOURCE_DIR) + "/tests/queue/dkim_verify.py";
    const auto judged = run_process({"/usr/bin/python3", program, record_}, Milliseconds(60000), {}, mail);
    EXPECT_EQ(judged.out, "verified s1._domainkey.sender.test.\n") << judged.err;
  } else {
    std::cout << "python3-dkim is not installed\n";
  }
  if (std::filesystem::exists("/usr/sbin/opendkim")) {
    std::ofstream(folder_.path() / "public") << "s1._domainkey.sender.test " << record_ << "\n";
    std::ofstream(folder_.path() / "opendkim.conf")
        << "Mode v\nSyslog no\nTestPublicKeys " << (folder_.path() / "public").string() << "\n";
    const auto judge = [&](const std::filesystem::path& message) {
      const auto end = run_process({"/usr/sbin/opendkim", "-x", (folder_.path() / "opendkim.conf").string(),
                                    "-v", "-t", message.string()});
      return end.out + end.err;
    };
    EXPECT_NE(judge(file).find("succeeded"), std::string::npos) << judge(file);
    const auto altered = folder_.path() / "altered";
    std::string other = mail;
    other.replace(other.find(".line 4000"), 10, ".line 4oo0");
    std::ofstream(altered, std::ios::binary) << other;
    EXPECT_NE(judge(altered).find("failed"), std::string::npos) << "it would have told\n" << judge(altered);
  } else {
    std::cout << "opendkim is not installed\n";
  }
}

TEST_F(IntoExim, ItsAnswersAreTakenRecipientByRecipient) {
  if (const auto why = Exim::missing(); !why.empty()) GTEST_SKIP() << why;
  open();
  submit({"bob@exim.test", "no@exim.test", "later@exim.test"});
  const auto taken = wait_for_end("bob@exim.test", "delivered");
  const auto refused = wait_for_end("no@exim.test", "bounced");
  const auto waits = wait_for_end("later@exim.test", "deferred");
  ASSERT_TRUE(taken && refused && waits) << exim_->log();
  EXPECT_EQ((*refused)["enhanced"], "5.1.1");
  EXPECT_EQ((*waits)["enhanced"], "4.2.0");
  EXPECT_TRUE(eventually([&] { return exim_->mails().size() == 1; })) << exim_->log();
  const auto bounce = world_.journal().wait_for_mail_to("shop@sender.test", Milliseconds(30000));
  ASSERT_TRUE(bounce);
  EXPECT_NE(bounce->content.find("Final-Recipient: rfc822; no@exim.test"), std::string::npos);
  EXPECT_EQ(bounce->content.find("Final-Recipient: rfc822; later@exim.test"), std::string::npos);
}

TEST_F(IntoExim, IsRefusedWhenItShowsACertificateForAnotherHost) {
  if (const auto why = Exim::missing(); !why.empty()) GTEST_SKIP() << why;
  const auto at = world_.reserve_mx_address();
  world_.dns().add("mx.exim.test", "A", at.ip);
  world_.add_domain("exim.test", {"mx.exim.test"});
  world_.publish_policy("exim.test", "enforce", {"mx.exim.test"});
  const Exim exim(at, world_.authority().issue("elsewhere.test"));
  ASSERT_TRUE(eventually([&] { return exim.log().find("daemon started") != std::string::npos; }))
      << exim.log();
  start();
  submit({"bob@exim.test"});
  const auto line = wait_for_end("bob@exim.test", "deferred");
  ASSERT_TRUE(line) << exim.log();
  EXPECT_EQ((*line)["enhanced"], "4.7.5");
  EXPECT_TRUE(exim.mails().empty());
}

}  // namespace
}  // namespace holdfast::world
