#include "smtp/tls/requirement.h"

namespace holdfast {

const char* name(TlsVersion version) {
  switch (version) {
    case TlsVersion::none: return "none";
    case TlsVersion::tls10: return "TLSv1";
    case TlsVersion::tls11: return "TLSv1.1";
    case TlsVersion::tls12: return "TLSv1.2";
    case TlsVersion::tls13: return "TLSv1.3";
  }
  return "unknown";
}

namespace {

TlsFailure failure(TlsError error, std::string detail) { return {error, std::move(detail), {}}; }

TlsFailure unmet_in_clear(const TlsRequirement& wanted) {
  const bool allowed = wanted.level == TlsLevel::opportunistic && wanted.cleartext_allowed && !wanted.pkix &&
                       !wanted.dane && !wanted.requiretls && wanted.min_version == TlsVersion::none &&
                       wanted.ciphers.empty();
  if (allowed) return {};
  return failure(TlsError::not_offered, "the connection is not encrypted");
}

TlsFailure unmet_version(const TlsEvidence& evidence, TlsVersion least) {
  if (evidence.version >= least) return {};
  return failure(TlsError::version_too_low,
                 std::string(name(evidence.version)) + " was negotiated, " + name(least) + " is required");
}

TlsFailure unmet_pkix(const TlsEvidence& evidence, const PkixRequirement& wanted) {
  if (evidence.pkix == wanted) return {};
  if (evidence.pkix) {
    return failure(TlsError::host_mismatch,
                   "verified for " + evidence.pkix->name.text() + ", not for " + wanted.name.text());
  }
  if (evidence.pkix_failure) return evidence.pkix_failure;
  return failure(TlsError::untrusted, "the certificate was not verified on this connection");
}

TlsFailure unmet_dane(const TlsEvidence& evidence, const DaneRequirement& wanted) {
  if (evidence.dane == wanted) return {};
  if (evidence.dane) return failure(TlsError::tlsa_mismatch, "verified by another TLSA record set");
  if (evidence.dane_failure) return evidence.dane_failure;
  return failure(TlsError::tlsa_mismatch, "no TLSA record was matched on this connection");
}

}  // namespace

TlsFailure unmet(const TlsEvidence& evidence, const TlsRequirement& wanted) {
  if (evidence.version == TlsVersion::none) return unmet_in_clear(wanted);
  if (auto low = unmet_version(evidence, wanted.min_version)) return low;
  if (!wanted.ciphers.empty() && evidence.ciphers != wanted.ciphers) {
    return failure(TlsError::protocol, "the connection was made with other cipher rules");
  }

  // RFC 8689 section 4.2.1: REQUIRETLS needs an authenticated peer, so a plan without one is not met either.
  const bool authenticated =
      wanted.level == TlsLevel::authenticated || wanted.pkix || wanted.dane || wanted.requiretls;
  if (authenticated) {
    if (!wanted.pkix && !wanted.dane)
      return failure(TlsError::untrusted, "nothing to authenticate the peer by");
    if (evidence.resumed) return failure(TlsError::untrusted, "a resumed TLS session proves nothing");
    if (auto low = unmet_version(evidence, TlsVersion::tls12)) return low;
    if (!evidence.strict) {
      return failure(TlsError::untrusted, "the handshake was not held to the rules of verified connections");
    }
    if (wanted.pkix) {
      if (auto missing = unmet_pkix(evidence, *wanted.pkix)) return missing;
    }
    if (wanted.dane) {
      if (auto missing = unmet_dane(evidence, *wanted.dane)) return missing;
    }
  }
  if (wanted.requiretls && !evidence.requiretls_offered) {
    return failure(TlsError::requiretls_missing, "REQUIRETLS is not in the EHLO reply after TLS");
  }
  return {};
}

}  // namespace holdfast
