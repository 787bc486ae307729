// Delivery into Debian's Postfix, an MX that we did not write, over TLS that it is held to.
#include <pwd.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMasterProto = "/usr/share/postfix/master.cf.dist";

// A Postfix from a private configuration directory, which takes mail for one domain into a Maildir. The one
// that may be configured on this machine is not touched.
class Postfix {
 public:
  Postfix(const Endpoint& at, const Identity& identity) {
    fs::permissions(folder_.path(), fs::perms(0755));  // its daemons drop root
    for (const char* part : {"etc", "spool", "data", "mail"}) fs::create_directories(folder_.path() / part);
    identity.write_to(folder_.path() / "tls");
    own(folder_.path() / "data", "postfix");
    own(folder_.path() / "mail", "nobody");
    const auto* nobody = ::getpwnam("nobody");
    const auto path = folder_.path().string();
    std::ofstream(folder_.path() / "etc/main.cf")
        << "compatibility_level = 3.6\nqueue_directory = " << path << "/spool\ndata_directory = " << path
        << "/data\ncommand_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = "
           "postfix\n"
        << "setgid_group = postdrop\nmaillog_file = " << path
        << "/data/mail.log\nmaillog_file_prefixes = " << path
        << "\nmyhostname = mx.postfix.test\nmydestination =\nalias_maps =\nalias_database =\n"
        << "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"  // smtpd's own address stands in master.cf
        << "smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\nsmtpd_tls_cert_file = " << path
        << "/tls/certificate.pem\nsmtpd_tls_key_file = " << path << "/tls/key.pem\n"
        << "virtual_mailbox_domains = postfix.test\nvirtual_mailbox_base = " << path
        << "/mail\nvirtual_mailbox_maps = static:inbox/\nvirtual_minimum_uid = 1\nvirtual_uid_maps = static:"
        << nobody->pw_uid << "\nvirtual_gid_maps = static:" << nobody->pw_gid << "\n";
    write_master(at);
    started_ = command("start");
  }
  ~Postfix() {
    if (started_.code == 0) command("stop");
  }

  const ProcessEnd& started() const { return started_; }
  std::string log() const { return content(folder_.path() / "data/mail.log"); }
  // The one message in the mailbox; "" while there is none.
  std::string mail() const {
    std::error_code none_yet;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "mail/inbox/new", none_yet)) {
      return content(entry.path());
    }
    return "";
  }

 private:
  static void own(const fs::path& path, const char* user) {
    const auto* entry = ::getpwnam(user);
    ASSERT_NE(entry, nullptr);
    ASSERT_EQ(::chown(path.c_str(), entry->pw_uid, entry->pw_gid), 0);
  }
  static std::string content(const fs::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  // Debian's services, out of their chroots, and smtpd on our address alone.
  void write_master(const Endpoint& at) {
    std::ifstream proto(kMasterProto);
    std::ofstream out(folder_.path() / "etc/master.cf");
    for (std::string line; std::getline(proto, line);) {
      if (line.empty() || line[0] == '#' || line[0] == ' ') continue;
      std::istringstream words(line);
      std::string name, type, privately, unprivileged, chroot, rest;
      words >> name >> type >> privately >> unprivileged >> chroot;
      std::getline(words, rest);
      if (name == "smtp" && type == "inet") name = at.text();
      out << name << " " << type << " " << privately << " " << unprivileged << " n" << rest << "\n";
    }
  }
  ProcessEnd command(const std::string& word) const {
    return run_process({"postfix", "-c", (folder_.path() / "etc").string(), word});
  }

  TempDir folder_;
  ProcessEnd started_;
};

class IntoPostfix : public EndToEnd {};

TEST_F(IntoPostfix, DeliversOverVerifiedTlsUnderEnforce) {
  if (::geteuid() != 0) GTEST_SKIP() << "Postfix starts only as root";
  if (!fs::exists(kMasterProto)) GTEST_SKIP() << "Postfix is not installed";
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
  if (::geteuid() != 0) GTEST_SKIP() << "Postfix starts only as root";
  if (!fs::exists(kMasterProto)) GTEST_SKIP() << "Postfix is not installed";
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
