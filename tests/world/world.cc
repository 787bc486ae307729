#include "tests/world/world.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <stdexcept>
#include <system_error>

namespace holdfast::world {

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "holdfast-world-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;  // a file that a dying process still writes must not fail the test
  std::filesystem::remove_all(path_, ignored);
}

std::string policy_text(const std::string& mode, const std::vector<std::string>& mx, unsigned long max_age) {
  std::string text = "version: STSv1\r\nmode: " + mode + "\r\n";
  for (const auto& pattern : mx) text += "mx: " + pattern + "\r\n";
  return text + "max_age: " + std::to_string(max_age) + "\r\n";
}

World::World() {
  std::ofstream(ca_file()) << authority_.root_pem();
  // Worlds run side by side: each begins somewhere else in 127.1.0.0 to 127.254.255.0.
  std::random_device random;
  next_host_ = (1 + random() % 254) << 16 | (random() % 256) << 8 | 1;
}

World::~World() {
  middleboxes_.clear();
  hosts_.clear();
}

Endpoint World::next_address() {
  const unsigned host = next_host_++;
  if ((next_host_ & 0xff) == 0xff) next_host_ += 2;  // stays clear of .255 and .0
  return {"127." + std::to_string(host >> 16 & 0xff) + "." + std::to_string(host >> 8 & 0xff) + "." +
              std::to_string(host & 0xff),
          mx_port_};
}

MxHost& World::add_mx(const std::string& name, MxSettings settings) {
  if (settings.tls.identity.chain_pem.empty()) settings.tls.identity = authority_.issue(name);
  std::unique_ptr<MxHost> host;
  for (int attempt = 0; !host; ++attempt) {
    try {
      host = std::make_unique<MxHost>(name, next_address(), settings, journal_);
    } catch (const std::system_error&) {  // somebody else has this port on this address
      if (attempt == 50) throw;
    }
  }
  mx_port_ = host->endpoint().port;
  dns_.replace(name, "A", host->endpoint().ip);
  return *(hosts_[name] = std::move(host));
}

void World::add_domain(const std::string& domain, const std::vector<std::string>& mx) {
  dns_.remove(domain, "MX");
  int preference = 0;
  for (const auto& host : mx) dns_.add(domain, "MX", std::to_string(preference += 10) + " " + host);
}

MxHost& World::add_simple_domain(const std::string& domain, MxSettings settings) {
  auto& host = add_mx("mx." + domain, std::move(settings));
  add_domain(domain, {host.name()});
  return host;
}

void World::publish_policy(const std::string& domain, const std::string& mode,
                           const std::vector<std::string>& mx, const std::string& id, unsigned long max_age) {
  HttpReply reply;
  reply.body = policy_text(mode, mx, max_age);
  https_.serve("mta-sts." + domain, reply);
  dns_.replace("mta-sts." + domain, "A", https_.endpoint().ip);
  dns_.replace("_mta-sts." + domain, "TXT", "v=STSv1; id=" + id + ";");
}

void World::publish_tlsrpt(const std::string& domain, const std::string& rua) {
  dns_.replace("_smtp._tls." + domain, "TXT", "v=TLSRPTv1; rua=" + rua);
}

Middlebox& World::interpose(const std::string& name, const std::string& mx_name, Tampering tampering) {
  const auto upstream = mx(mx_name).endpoint();
  for (int attempt = 0;; ++attempt) {
    try {
      middleboxes_.push_back(std::make_unique<Middlebox>(next_address(), upstream, tampering));
      break;
    } catch (const std::system_error&) {
      if (attempt == 50) throw;
    }
  }
  dns_.replace(name, "A", middleboxes_.back()->endpoint().ip);
  return *middleboxes_.back();
}

Endpoint World::reserve_mx_address() {
  if (mx_port_ == 0) {  // settles the port
    add_mx("reserve.invalid");
  }
  for (int attempt = 0; attempt < 50; ++attempt) {
    const auto address = next_address();
    try {
      listen_tcp(address);
      return address;
    } catch (const std::system_error&) {
      continue;
    }
  }
  throw std::runtime_error("no free address for an MX");
}

}  // namespace holdfast::world
