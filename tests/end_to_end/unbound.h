// tests/end_to_end/unbound.h — Unbound as the validating resolver, with zones signed by ldnsutils: DNSSEC
// that we did not write.
//
// One process both serves and validates: its own signed root (the trust anchor), zones below that are signed
// and have a DS there, and zones without one, which are provably insecure. Nothing is asked of the network.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {

struct Zone {
  std::string name;
  std::string records;  // in zone-file form, relative to the zone: "mx IN A 127.0.0.1"
  bool is_signed = true;
  // Changes the file once it is signed: what an attacker, or a broken signer, does.
  std::function<std::string(std::string)> tamper{};
};

class Unbound {
 public:
  // Why there can be none on this machine; "" when there can.
  static std::string missing() {
    for (const char* program : {"/usr/sbin/unbound", "/usr/bin/ldns-keygen", "/usr/bin/ldns-signzone"})
      if (::access(program, X_OK) != 0) return std::string(program) + " is not installed";
    return "";
  }

  // Waits until it answers.
  explicit Unbound(const std::vector<Zone>& zones, bool validating = true) {
    const std::string path = folder_.path().string();
    std::string root = soa(".") + "ns.test. 60 IN A 127.0.0.1\n";
    std::string serving = auth_zone(".");
    for (const Zone& zone : zones) {
      root += zone.name + ". 60 IN NS ns.test.\n";
      std::string text = "$ORIGIN " + zone.name + ".\n$TTL 60\n" + soa("@") + zone.records;
      if (zone.is_signed) {
        text = sign(zone.name, text);
        root += content(key_ + ".ds") + "\n";
      }
      std::ofstream(folder_.path() / (zone.name + ".zone")) << (zone.tamper ? zone.tamper(text) : text);
      serving += auth_zone(zone.name);
    }
    std::ofstream(folder_.path() / "..zone") << sign(".", root);  // the last one: key_ is the root's now
    endpoint_ = {"127.0.0.1", local_endpoint(listen_tcp({"127.0.0.1", 0})).port};  // free a moment ago
    std::ofstream(folder_.path() / "unbound.conf")
        << "server:\n  directory: \"" << path << "\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n"
        << "  use-syslog: no\n  do-daemonize: no\n  num-threads: 1\n  interface: 127.0.0.1@" << endpoint_.port
        << "\n  access-control: 127.0.0.0/8 allow\n  do-not-query-localhost: no\n  trust-anchor-signaling: "
           "no\n"
        << "  local-zone: \"test.\" nodefault\n  module-config: \"" << (validating ? "validator " : "")
        << "iterator\"\n  trust-anchor-file: \"" << key_ << ".key\"\n"
        << serving << "remote-control:\n  control-enable: no\n";
    process_ = std::make_unique<Process>(std::vector<std::string>{
        "/usr/sbin/unbound", "-d", "-c", (folder_.path() / "unbound.conf").string()});
    started_ = wait_until_it_listens();
  }

  bool started() const { return started_; }
  std::string log() const { return process_->output() + process_->errors(); }
  Endpoint endpoint() const { return endpoint_; }

 private:
  static std::string soa(const std::string& name) {
    return name + " 60 IN SOA ns.test. host.test. 1 3600 600 864000 60\n" + name + " 60 IN NS ns.test.\n";
  }
  static std::string auth_zone(const std::string& name) {
    return "auth-zone:\n  name: \"" + name + "\"\n  zonefile: \"" + name +
           ".zone\"\n  for-downstream: no\n  for-upstream: yes\n";
  }
  static std::string content(const std::filesystem::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  // The signed zone; its key is key_.
  std::string sign(const std::string& name, const std::string& text) {
    const std::string path = folder_.path().string();
    std::ofstream(folder_.path() / "unsigned") << text;
    const auto key =
        run_process({"sh", "-c", "cd '" + path + "' && ldns-keygen -a ECDSAP256SHA256 -k " + name});
    EXPECT_EQ(key.code, 0) << key.err;
    key_ = path + "/" + key.out.substr(0, key.out.find('\n'));
    const auto made =
        run_process({"ldns-signzone", "-o", name, "-f", path + "/signed", path + "/unsigned", key_});
    EXPECT_EQ(made.code, 0) << made.err;
    return content(folder_.path() / "signed");
  }
  bool wait_until_it_listens() const {
    for (int tries = 0; tries < 1500; ++tries) {
      try {
        connect_tcp(endpoint_);
        return true;
      } catch (const std::system_error&) {
        std::this_thread::sleep_for(Milliseconds(20));  // it does not say when it is ready
      }
    }
    return false;
  }

  TempDir folder_;
  std::string key_;
  Endpoint endpoint_;
  std::unique_ptr<Process> process_;
  bool started_ = false;
};

}  // namespace holdfast::world
