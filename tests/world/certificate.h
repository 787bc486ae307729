// tests/world/certificate.h — certificates of every kind, good and bad, made on the spot.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace holdfast::world {

struct CertificateSpec {
  std::vector<std::string> dns_names;                         // SAN dNSName, wildcards as written
  std::vector<std::string> ip_names;                          // SAN iPAddress
  std::string common_name;                                    // empty = none
  std::chrono::seconds valid_from = std::chrono::hours(-24);  // both relative to now
  std::chrono::seconds valid_until = std::chrono::hours(24 * 30);
};

// A certificate with its key. `chain_pem` begins with the certificate itself.
struct Identity {
  std::string chain_pem;
  std::string key_pem;
  // Writes certificate.pem and key.pem (mode 0600) into `folder`, for servers that we did not write.
  void write_to(const std::filesystem::path& folder) const;
};

Identity self_signed(const CertificateSpec& spec);

// A certification authority with a root of its own.
class Authority {
 public:
  explicit Authority(const std::string& name);
  Identity issue(const CertificateSpec& spec) const;
  Identity issue(const std::string& dns_name) const;
  const std::string& root_pem() const { return root_.chain_pem; }

 private:
  Identity root_;
};

// The certificate association data of a TLSA record, hex. RFC 6698 section 2.1: selector 0 is the whole
// certificate, 1 its public key; matching 0 is the data itself, 1 SHA-256, 2 SHA-512.
std::string tlsa_association(const std::string& certificate_pem, int selector, int matching);

}  // namespace holdfast::world
