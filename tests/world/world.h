// tests/world/world.h — a small internet on loopback: names, policy hosts, mail exchangers, and men in the
// middle.
//
// Everything speaks its real protocol, on ports that the system picks. Every MX has a loopback address of its
// own (127.x.y.z), all on one port, since a relay knows only one delivery port.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/world/certificate.h"
#include "tests/world/dns_server.h"
#include "tests/world/https_server.h"
#include "tests/world/journal.h"
#include "tests/world/middlebox.h"
#include "tests/world/mx_host.h"

namespace holdfast::world {

// A folder that is gone, with all in it, when the object is.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The text of an MTA-STS policy.
std::string policy_text(const std::string& mode, const std::vector<std::string>& mx,
                        unsigned long max_age = 86400);

class World {
 public:
  World();
  ~World();

  DnsServer& dns() { return dns_; }
  HttpsServer& https() { return https_; }
  Journal& journal() { return journal_; }
  const Authority& authority() const { return authority_; }
  const Authority& other_authority() const { return other_authority_; }  // that nobody trusts
  std::filesystem::path ca_file() const { return folder_.path() / "ca.pem"; }
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::uint16_t mx_port() const { return mx_port_; }
  std::uint16_t https_port() const { return https_.endpoint().port; }

  // A mail exchanger with an A record and, unless the settings bring one, a sound certificate for its name.
  MxHost& add_mx(const std::string& name, MxSettings settings = {});
  MxHost& mx(const std::string& name) { return *hosts_.at(name); }
  // Gives `domain` these MX hosts, preferences 10, 20, …
  void add_domain(const std::string& domain, const std::vector<std::string>& mx);
  // add_mx("mx." + domain) and add_domain(): a domain with one exchanger of its own.
  MxHost& add_simple_domain(const std::string& domain, MxSettings settings = {});

  // Publishes record and policy. `id` must change when the policy does.
  void publish_policy(const std::string& domain, const std::string& mode, const std::vector<std::string>& mx,
                      const std::string& id = "1", unsigned long max_age = 86400);
  void publish_tlsrpt(const std::string& domain, const std::string& rua);

  // Puts a man in the middle before this MX: its name now leads to him. He may be told more later.
  Middlebox& interpose(const std::string& mx, Tampering tampering) {
    return interpose(mx, mx, std::move(tampering));
  }
  // The same for another name of the host `mx`.
  Middlebox& interpose(const std::string& name, const std::string& mx, Tampering tampering);

  // A free address on the MX port, for a server that is not ours; the world binds nothing there.
  Endpoint reserve_mx_address();

 private:
  Endpoint next_address();

  TempDir folder_;
  Authority authority_{"Test World Root"};
  Authority other_authority_{"Untrusted Root"};
  Journal journal_;
  DnsServer dns_;
  HttpsServer https_{authority_};
  std::uint16_t mx_port_ = 0;
  unsigned next_host_ = 0;
  std::map<std::string, std::unique_ptr<MxHost>> hosts_;
  std::vector<std::unique_ptr<Middlebox>> middleboxes_;
};

}  // namespace holdfast::world
