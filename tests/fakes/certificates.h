// tests/fakes/certificates.h — certificates of every kind, made on the spot by OpenSSL: authorities, leaves,
// expired, misnamed, self-signed. Keys are EC P-256 unless a test needs weaker ones.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "smtp/dns/resolver.h"

namespace holdfast {

struct CertificateSpec {
  std::string common_name = "leaf";
  std::vector<std::string> dns;                 // SAN dNSName, as they are: "mx.example", "*.example"
  std::vector<std::string> ip;                  // SAN iPAddress: "192.0.2.1"
  std::chrono::seconds valid_from{-24 * 3600};  // from now
  std::chrono::seconds valid_to{90 * 24 * 3600};
  bool authority = false;
  int path_length = -1;       // of an authority; -1: unlimited
  std::string permitted_dns;  // name constraint of an authority: only within this domain
  std::string excluded_dns;   // and not within this one
  int rsa_bits = 0;           // 0: EC P-256
  bool client_only = false;   // extended key usage clientAuth in place of serverAuth
  bool sha1 = false;          // signed over SHA-1 in place of SHA-256
};

struct TestCertificate {
  std::string pem;        // itself
  std::string chain_pem;  // itself, then its issuers but the root: what a server sends
  std::string key_pem;
  std::string der;
  std::string spki_der;  // SubjectPublicKeyInfo

  // "3 1 1" and so on, over this certificate.
  TlsaRecord tlsa(int usage, int selector, int matching_type) const;
};

// Throws std::runtime_error when OpenSSL refuses.
TestCertificate make_self_signed_certificate(const CertificateSpec& spec);
TestCertificate issue(const TestCertificate& issuer, const CertificateSpec& spec);

// An authority of its own: a root and one intermediate that signs the leaves.
struct TestAuthority {
  explicit TestAuthority(const std::string& name = "Test");
  TestCertificate leaf(const CertificateSpec& spec) const { return issue(intermediate, spec); }
  TestCertificate leaf_for(const std::string& host) const;

  TestCertificate root;
  TestCertificate intermediate;
};

// A file that goes away with the object; for `ca_file`.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace holdfast
