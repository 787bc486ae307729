#include "smtp/tls/verify.h"

#include <openssl/err.h>

#include <algorithm>

#include "smtp/tls/certificate.h"
#include "smtp/tls/openssl.h"
#include "smtp/tls/verify_error.h"

namespace holdfast {
namespace {

ChainVerdict refusal(int x509_error, std::string detail) {
  ChainVerdict verdict;
  verdict.failure.error = error_of_verification(x509_error);
  verdict.failure.detail = std::move(detail);
  verdict.failure.code = name_of_verification_error(x509_error);
  verdict.x509_error = x509_error;
  return verdict;
}

ChainVerdict refusal(TlsError error, int x509_error, std::string detail) {
  auto verdict = refusal(x509_error, std::move(detail));
  verdict.failure.error = error;
  return verdict;
}

// "" switches OpenSSL's name check off, a leading dot widens it, a trailing dot never matches (measured
// on 3.0).
bool is_reference_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.back() != '.' && name.find('\0') == std::string::npos;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) {
    if (text.size() > 200) return text + ", …";
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

std::string detail_of(X509_STORE_CTX* context, X509* leaf, int error, const std::string& wanted) {
  if (error == X509_V_ERR_HOSTNAME_MISMATCH) {
    const auto names = dns_names_of(leaf);
    return "expected " + wanted +
           (names.empty() ? ", the certificate names no host" : ", the certificate names " + joined(names));
  }
  std::string detail = X509_verify_cert_error_string(error);
  X509* culprit = X509_STORE_CTX_get_current_cert(context);
  if (culprit == nullptr) return detail;
  detail += ": " + subject_of(culprit);
  if (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID) {
    const auto info = describe_certificate(culprit);
    const auto at = error == X509_V_ERR_CERT_HAS_EXPIRED ? info.not_after : info.not_before;
    const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(at));
    char text[32];
    std::snprintf(text, sizeof text, " (%04d-%02u-%02u)", static_cast<int>(day.year()),
                  static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
    detail += text;
  }
  return detail;
}

// A verification that has everything but its trust anchors and reference names.
StoreCtxPtr prepare(X509_STORE* anchors, X509* leaf, X509_STACK* chain) {
  StoreCtxPtr context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), anchors, leaf, chain) != 1) return nullptr;
  if (X509_STORE_CTX_set_default(context.get(), "ssl_server") != 1) return nullptr;
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_depth(rules, kMaxVerifyDepth);
  X509_VERIFY_PARAM_set_auth_level(rules, kVerifySecurityLevel);
  // Only SAN dNSNames count, a wildcard only as a whole label (RFC 8461 section 4.1, RFC 6125 section 6.4).
  X509_VERIFY_PARAM_set_hostflags(rules,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return context;
}

std::optional<ChainVerdict> oversized(X509* leaf, X509_STACK* chain) {
  if (leaf == nullptr)
    return refusal(TlsError::no_certificate, X509_V_ERR_UNSPECIFIED, "no certificate came");
  const int count = sk_X509_num(chain);
  if (count <= kMaxPeerCertificates) return std::nullopt;
  return refusal(X509_V_ERR_CERT_CHAIN_TOO_LONG, "the peer sent " + std::to_string(count) + " certificates");
}

bool add_record(SSL* holder, const TlsaRecord& record) {
  // PKIX-TA(0) and PKIX-EE(1) are not for SMTP (RFC 7672 section 3.1.3), and OpenSSL would accept them.
  if (record.usage != 2 && record.usage != 3) return false;
  if (record.selector > 1 || record.matching_type > 2) return false;
  const auto* data = reinterpret_cast<const unsigned char*>(record.data.data());
  const bool added = SSL_dane_tlsa_add(holder, record.usage, record.selector, record.matching_type, data,
                                       record.data.size()) == 1;
  ERR_clear_error();
  return added;
}

// OpenSSL keeps TLSA records in an SSL. This one only carries them: it never meets a peer.
SslPtr make_holder(const TlsClientContexts& contexts, const std::string& base_domain) {
  SslPtr holder(SSL_new(contexts.verified()));
  if (!holder || SSL_dane_enable(holder.get(), base_domain.c_str()) != 1) return nullptr;
  SSL_dane_set_flags(holder.get(), DANE_FLAG_NO_DANE_EE_NAMECHECKS);  // RFC 7672 section 3.1.1
  return holder;
}

std::string match_text(SSL* holder) {
  SSL_set_verify_result(holder, X509_V_OK);  // what the two accessors ask for
  const int depth = SSL_get0_dane_authority(holder, nullptr, nullptr);
  std::uint8_t usage = 0, selector = 0, matching_type = 0;
  if (depth < 0 || SSL_get0_dane_tlsa(holder, &usage, &selector, &matching_type, nullptr, nullptr) < 0)
    return {};
  return std::to_string(usage) + " " + std::to_string(selector) + " " + std::to_string(matching_type) +
         " at depth " + std::to_string(depth);
}

}  // namespace

ChainVerdict verify_pkix(const TlsClientContexts& contexts, X509* leaf, X509_STACK* chain,
                         const PkixRequirement& requirement) {
  if (auto refused = oversized(leaf, chain)) return *refused;
  const std::string& name = requirement.name.text();
  if (!is_reference_name(name)) return refusal(X509_V_ERR_HOSTNAME_MISMATCH, "there is no name to verify");

  ERR_clear_error();
  auto context = prepare(SSL_CTX_get_cert_store(contexts.verified()), leaf, chain);
  if (!context) return refusal(X509_V_ERR_OUT_OF_MEM, take_openssl_error());
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  if (X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()) != 1) {
    return refusal(X509_V_ERR_HOSTNAME_MISMATCH, "not a name that can be verified: " + printable(name));
  }
  const int verified = X509_verify_cert(context.get());
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (error != X509_V_OK) return refusal(error, detail_of(context.get(), leaf, error, name));
  if (verified != 1) return refusal(X509_V_ERR_UNSPECIFIED, "the verification did not finish");
  // Set only by a name check that took place and succeeded.
  if (X509_VERIFY_PARAM_get0_peername(rules) == nullptr) {
    return refusal(X509_V_ERR_HOSTNAME_MISMATCH, "no name of the certificate was matched");
  }
  return {};
}

ChainVerdict verify_dane(const TlsClientContexts& contexts, X509* leaf, X509_STACK* chain,
                         const DaneRequirement& requirement) {
  if (auto refused = oversized(leaf, chain)) return *refused;
  const std::string& base = requirement.base_domain.text();
  if (!is_reference_name(base)) return refusal(X509_V_ERR_HOSTNAME_MISMATCH, "there is no TLSA base domain");

  ERR_clear_error();
  auto holder = make_holder(contexts, base);
  StorePtr nothing(X509_STORE_new());  // the system's roots have no say in usages 2 and 3
  auto context = holder && nothing ? prepare(nothing.get(), leaf, chain) : nullptr;
  if (!context) return refusal(X509_V_ERR_OUT_OF_MEM, take_openssl_error());

  int usable = 0;
  for (const auto& record : requirement.records) usable += add_record(holder.get(), record) ? 1 : 0;
  if (usable == 0) {
    return refusal(TlsError::tlsa_unusable, X509_V_ERR_DANE_NO_MATCH,
                   "none of " + std::to_string(requirement.records.size()) + " TLSA records is usable");
  }
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  bool named = X509_VERIFY_PARAM_set1_host(rules, base.data(), base.size()) == 1;
  for (const auto& name : requirement.names) {
    // RFC 7672 section 3.2.2: the base domain and the names that led to it.
    if (is_reference_name(name.text())) {
      named = named && X509_VERIFY_PARAM_add1_host(rules, name.text().data(), name.text().size()) == 1;
    }
  }
  if (!named) return refusal(X509_V_ERR_HOSTNAME_MISMATCH, "not names that can be verified");

  X509_STORE_CTX_set0_dane(context.get(), SSL_get0_dane(holder.get()));
  const int verified = X509_verify_cert(context.get());
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (error != X509_V_OK) return refusal(error, detail_of(context.get(), leaf, error, base));
  ChainVerdict verdict;
  verdict.match = verified == 1 ? match_text(holder.get()) : "";
  if (verdict.match.empty()) return refusal(X509_V_ERR_DANE_NO_MATCH, "no TLSA record was matched");
  // DANE-TA is only as good as the name (RFC 7672 section 3.1.2); DANE-EE has none.
  if (verdict.match.front() == '2' && X509_VERIFY_PARAM_get0_peername(rules) == nullptr) {
    return refusal(X509_V_ERR_HOSTNAME_MISMATCH, "no name of the certificate was matched");
  }
  return verdict;
}

bool is_usable(const TlsClientContexts& contexts, const TlsaRecord& record) {
  auto holder = make_holder(contexts, "usable.invalid");
  return holder && add_record(holder.get(), record);
}

void PeerVerifier::attach(SSL* ssl) { SSL_set_app_data(ssl, this); }

int PeerVerifier::look_at(X509* leaf, X509_STACK* chain, TlsVersion version) {
  const int shown = std::min(sk_X509_num(chain), kMaxPeerCertificates);
  for (int i = 0; i < shown; ++i) evidence_.chain.push_back(describe_certificate(sk_X509_value(chain, i)));

  // Whatever is verified needs TLS 1.2; a watched handshake may have gone lower.
  ChainVerdict too_low;
  if (version < TlsVersion::tls12) {
    too_low = refusal(TlsError::version_too_low, X509_V_ERR_UNSPECIFIED,
                      std::string(name(version)) + " was negotiated");
    too_low.failure.code.clear();
  }
  int refused = 0;
  const auto& pkix = requirement_.pkix ? requirement_.pkix : requirement_.watch_pkix;
  if (pkix) {
    auto verdict = too_low.failure ? too_low : verify_pkix(contexts_, leaf, chain, *pkix);
    if (!verdict.failure) evidence_.pkix = pkix;
    if (requirement_.pkix) refused = verdict.x509_error;
    evidence_.pkix_failure = std::move(verdict.failure);
  }
  const auto& dane = requirement_.dane ? requirement_.dane : requirement_.watch_dane;
  if (dane) {
    auto verdict = too_low.failure ? too_low : verify_dane(contexts_, leaf, chain, *dane);
    if (!verdict.failure) evidence_.dane = dane;
    if (requirement_.dane && refused == 0) refused = verdict.x509_error;
    evidence_.dane_match = std::move(verdict.match);
    evidence_.dane_failure = std::move(verdict.failure);
  }
  return refused;
}

namespace {

// Called by OpenSSL when the peer's certificates have come. Nothing may be thrown through C, so an exception
// (memory) becomes a refusal of the handshake.
int on_peer_chain(X509_STORE_CTX* context, void*) noexcept {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* verifier = ssl != nullptr ? static_cast<PeerVerifier*>(SSL_get_app_data(ssl)) : nullptr;
  int error = X509_V_ERR_UNSPECIFIED;
  if (verifier != nullptr) {
    try {
      auto* chain = X509_STORE_CTX_get0_untrusted(context);
      error = verifier->look_at(X509_STORE_CTX_get0_cert(context), chain,
                                static_cast<TlsVersion>(SSL_version(ssl)));
    } catch (...) {
      error = X509_V_ERR_OUT_OF_MEM;
    }
  }
  X509_STORE_CTX_set_error(context, error);
  return error == X509_V_OK ? 1 : 0;
}

}  // namespace

void install_peer_verification(SSL_CTX* context) {
  SSL_CTX_set_cert_verify_callback(context, on_peer_chain, nullptr);
}

}  // namespace holdfast
