// smtp/tls/requirement.h — what a connection must prove before a message may travel on it, and what it
// proved.
//
// The planner (sts/tls_planner.h) makes requirements; the handshake gathers evidence; satisfies() compares.
// Evidence belongs to one connection: it is made by that connection's own full handshake, never resumed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/network.h"
#include "smtp/base/clock.h"
#include "smtp/base/domain_name.h"
#include "smtp/dns/resolver.h"
#include "smtp/tls/tls_error.h"

namespace holdfast {

enum class TlsVersion : std::uint16_t {
  none = 0,
  tls10 = 0x0301,
  tls11 = 0x0302,
  tls12 = 0x0303,
  tls13 = 0x0304
};
const char* name(TlsVersion version);  // "TLSv1.3"

enum class TlsLevel {
  opportunistic,  // TLS where offered, unauthenticated; cleartext only if cleartext_allowed
  encrypted,      // TLS or nothing, unauthenticated
  authenticated,  // TLS with everything in pkix and dane verified, or nothing
};

// RFC 6125 DNS-ID check against the MX host name, chain to the roots of `trust.ca_file`.
struct PkixRequirement {
  DomainName name;  // also the SNI
  bool operator==(const PkixRequirement&) const = default;
};

// RFC 7672: only usages 2 and 3, digest agility already applied.
struct DaneRequirement {
  DomainName base_domain;           // TLSA base domain; the SNI (RFC 7672 section 8.1)
  std::vector<DomainName> names;    // reference names of DANE-TA
  std::vector<TlsaRecord> records;  // usable ones, sorted; never empty
  bool operator==(const DaneRequirement&) const = default;
};

struct TlsRequirement {
  TlsLevel level = TlsLevel::encrypted;
  // Set by the planner and nowhere else. Without it a connection without TLS carries nothing.
  bool cleartext_allowed = false;
  DomainName server_name;  // SNI: the MX host, or the TLSA base domain
  std::optional<PkixRequirement> pkix;
  std::optional<DaneRequirement> dane;
  // Checked and recorded as evidence, without failing the connection: testing and observe modes.
  std::optional<PkixRequirement> watch_pkix;
  std::optional<DaneRequirement> watch_dane;
  bool requiretls = false;                    // REQUIRETLS must be offered after TLS
  TlsVersion min_version = TlsVersion::none;  // none: the library's own floor
  std::string ciphers;                        // OpenSSL list for TLS 1.2; "" = default
  bool operator==(const TlsRequirement&) const = default;
};

struct CertificateInfo {
  std::string subject, issuer;
  std::vector<std::string> names;  // SAN dNSNames, sanitised
  WallTime not_before{}, not_after{};
  std::string key;     // "EC P-256", "RSA 2048"
  std::string sha256;  // of the certificate, hex
};

struct TlsEvidence {
  TlsVersion version = TlsVersion::none;  // none: the connection is in clear
  std::string cipher;
  std::string ciphers;     // the requirement's list that the handshake was made with
  DomainName server_name;  // the SNI that was sent
  bool resumed = false;    // must stay false for anything authenticated
  // The handshake was held to the rules of verified connections (tls_context.h). One made for a testing or
  // opportunistic message was not: its key exchange may be too weak to authenticate anything by.
  bool strict = false;
  // Verified on this connection: the name, or nullopt with the reason in pkix_failure (which is none when it
  // was not asked for).
  std::optional<PkixRequirement> pkix;
  TlsFailure pkix_failure;
  std::optional<DaneRequirement> dane;  // the very set that matched
  std::string dane_match;               // "3 1 1 at depth 0"
  TlsFailure dane_failure;
  bool requiretls_offered = false;  // in the EHLO reply after TLS
  std::vector<CertificateInfo> chain;
};

// Why the connection may not carry a message with this requirement; `none` when it may. Compares whole: a
// TLSA set or a name that differs from what was proved counts as not proved.
TlsFailure unmet(const TlsEvidence& evidence, const TlsRequirement& requirement);
inline bool satisfies(const TlsEvidence& evidence, const TlsRequirement& requirement) {
  return !unmet(evidence, requirement);
}

}  // namespace holdfast
