// tests/end_to_end/postfix.h — Debian's Postfix, a mail server that we did not write: as MX, or as our
// client.
#pragma once

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/end_to_end/mail_files.h"
#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {

inline constexpr const char* kMasterProto = "/usr/share/postfix/master.cf.dist";

// A Postfix from a private configuration directory, which takes mail for one domain into a Maildir. The one
// that may be configured on this machine is not touched.
class Postfix {
 public:
  // Why there can be none on this machine; "" when there can.
  static std::string missing() {
    if (::geteuid() != 0) return "Postfix starts only as root";
    if (!std::filesystem::exists(kMasterProto)) return "Postfix is not installed";
    return "";
  }

  // `more` are lines of main.cf that win over the usual ones.
  Postfix(const Endpoint& at, const Identity& identity, const std::string& more = {}) {
    std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));  // its daemons drop root
    for (const char* part : {"etc", "spool", "data", "mail"})
      std::filesystem::create_directories(folder_.path() / part);
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
        << nobody->pw_uid << "\nvirtual_gid_maps = static:" << nobody->pw_gid << "\n"
        << more;
    write_master(at);
    started_ = command("start");
  }
  ~Postfix() {
    if (started_.code == 0) command("stop");
  }

  const ProcessEnd& started() const { return started_; }
  // Submits as a local program does.
  ProcessEnd sendmail(std::vector<std::string> arguments, const std::string& message) const {
    arguments.insert(arguments.begin(), {"/usr/sbin/sendmail", "-C", (folder_.path() / "etc").string()});
    return run_process(std::move(arguments), Milliseconds(60000), {}, message);
  }
  std::string log() const { return file_content(folder_.path() / "data/mail.log"); }
  // The messages in the mailbox.
  std::vector<std::string> mails() const { return file_contents(folder_.path() / "mail/inbox/new"); }
  // The one message in the mailbox; "" while there is none.
  std::string mail() const {
    const auto found = mails();
    return found.empty() ? "" : found.front();
  }

 private:
  static void own(const std::filesystem::path& path, const char* user) {
    const auto* entry = ::getpwnam(user);
    ASSERT_NE(entry, nullptr);
    ASSERT_EQ(::chown(path.c_str(), entry->pw_uid, entry->pw_gid), 0);
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

}  // namespace holdfast::world
