// tests/smtp/tls/verify_chain.h — certificate chains as a handshake would bring them, and what is said of
// them.
#pragma once

#include <string>
#include <vector>

#include "smtp/tls/openssl.h"
#include "smtp/tls/verify.h"
#include "tests/fakes/certificates.h"

namespace holdfast::verifying {

inline DomainName dn(const std::string& text) { return *DomainName::parse(text); }

inline const TestAuthority& authority() {
  static const TestAuthority made;
  return made;
}

inline const TlsClientContexts& contexts() {
  static const TemporaryFile roots(authority().root.pem);
  static const auto made = *TlsClientContexts::create(roots.path());
  return *made;
}

// What a handshake would bring.
struct Chain {
  explicit Chain(const std::string& pem) : all(sk_X509_new_null()) {
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) sk_X509_push(all, next);
  }
  ~Chain() { sk_X509_pop_free(all, X509_free); }
  Chain(const Chain&) = delete;
  X509* leaf() const { return sk_X509_value(all, 0); }
  X509_STACK* all;
};

inline ChainVerdict pkix(const std::string& chain_pem, const std::string& host) {
  const Chain chain(chain_pem);
  PkixRequirement wanted;
  if (!host.empty()) wanted.name = dn(host);
  return verify_pkix(contexts(), chain.leaf(), chain.all, wanted);
}

inline ChainVerdict dane(const std::string& chain_pem, std::vector<TlsaRecord> records,
                         const std::string& base = "mx.example.com", const std::string& other = "") {
  const Chain chain(chain_pem);
  DaneRequirement wanted;
  wanted.base_domain = dn(base);
  wanted.names = {wanted.base_domain};
  if (!other.empty()) wanted.names.push_back(dn(other));
  wanted.records = std::move(records);
  return verify_dane(contexts(), chain.leaf(), chain.all, wanted);
}

}  // namespace holdfast::verifying
