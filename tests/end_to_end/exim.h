// tests/end_to_end/exim.h — Debian's Exim as the receiver: another MX that we did not write, with another TLS
// library (GnuTLS), and one that offers CHUNKING.
#pragma once

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/end_to_end/mail_files.h"
#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {

// Its package and Postfix's exclude each other, so it is not installed but unpacked (tests/get_exim).
inline const std::filesystem::path kExim =
    std::filesystem::path(HOLDFAST_SOURCE_DIR) / "build/exim/usr/sbin/exim4";

// Takes mail for exim.test into a Maildir; refuses no@, and later@ for now. Exim insists on its own user: it
// gets one in a mount namespace of its own, where /etc/passwd is another.
class Exim {
 public:
  // Why there can be none on this machine; "" when there can.
  static std::string missing() {
    if (!std::filesystem::exists(kExim))
      return "there is no " + kExim.string() + " (tests/get_exim build/exim)";
    if (::geteuid() != 0) return "Exim starts only as root";
    if (run_process({"unshare", "-m", "true"}).code != 0) return "a mount namespace cannot be made here";
    return "";
  }

  Exim(const Endpoint& at, const Identity& identity) {
    const auto path = folder_.path().string();
    std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
    const auto* nobody = ::getpwnam("nobody");
    if (nobody == nullptr) throw std::runtime_error("there is no user nobody");
    const auto ids = std::to_string(nobody->pw_uid) + ":" + std::to_string(nobody->pw_gid);
    std::filesystem::copy_file("/etc/passwd", folder_.path() / "passwd");
    std::filesystem::copy_file("/etc/group", folder_.path() / "group");
    std::ofstream(folder_.path() / "passwd", std::ios::app)
        << "Debian-exim:x:" << ids << "::/nonexistent:/bin/false\n";
    std::ofstream(folder_.path() / "group", std::ios::app) << "Debian-exim:x:" << nobody->pw_gid << ":\n";
    identity.write_to(folder_.path() / "tls");
    for (const char* part : {"spool", "log", "mail"})
      std::filesystem::create_directories(folder_.path() / part);
    for (const char* part : {"tls", "tls/certificate.pem", "tls/key.pem", "spool", "log", "mail"}) {
      if (::chown((folder_.path() / part).c_str(), nobody->pw_uid, nobody->pw_gid) != 0)
        throw std::runtime_error(std::string("chown of ") + part);
    }
    std::ofstream(folder_.path() / "exim.conf")
        << "exim_path = " << kExim.string() << "\nprimary_hostname = mx.exim.test\nspool_directory = " << path
        << "/spool\nlog_file_path = " << path << "/log/%slog\npid_file_path = " << path
        << "/spool/exim.pid\nlocal_interfaces = " << at.ip << "\ndaemon_smtp_ports = " << at.port
        << "\ntls_advertise_hosts = *\ntls_certificate = " << path
        << "/tls/certificate.pem\ntls_privatekey = " << path << "/tls/key.pem\n"
        << R"(log_selector = +tls_cipher +tls_sni
keep_environment =
never_users =
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny message = 5.1.1 no such user
       local_parts = no
  defer message = 4.2.0 come again
       local_parts = later
  accept domains = exim.test
begin routers
all:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = )"
        << path << R"(/mail/inbox
  maildir_format
  return_path_add
  user = nobody
begin retry
* * F,1h,1m
)";
    process_ = std::make_unique<Process>(std::vector<std::string>{
        "unshare", "-m", "sh", "-c",
        "mount --bind " + path + "/passwd /etc/passwd && mount --bind " + path +
            "/group /etc/group && exec " + kExim.string() + " -C " + path + "/exim.conf -bdf"});
  }

  std::string log() const { return file_content(folder_.path() / "log/mainlog") + process_->errors(); }
  // The messages in the mailbox.
  std::vector<std::string> mails() const { return file_contents(folder_.path() / "mail/inbox/new"); }

 private:
  TempDir folder_;
  std::unique_ptr<Process> process_;
};

}  // namespace holdfast::world
