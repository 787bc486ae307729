#include "smtp/tls/tls_error.h"

namespace holdfast {

const char* category_name(TlsError) { return "tls"; }

const char* describe(TlsError error) {
  switch (error) {
    case TlsError::none: return "no TLS error";
    case TlsError::not_offered: return "STARTTLS is not offered";
    case TlsError::refused: return "STARTTLS was refused";
    case TlsError::injected: return "octets in clear came between STARTTLS and the handshake";
    case TlsError::connection_lost: return "the connection ended without a TLS close";
    case TlsError::timed_out: return "TLS took too long";
    case TlsError::protocol: return "TLS failed";
    case TlsError::no_certificate: return "the peer presented no certificate";
    case TlsError::expired: return "a certificate has expired";
    case TlsError::not_yet_valid: return "a certificate is not yet valid";
    case TlsError::untrusted: return "the certificate is not trusted";
    case TlsError::host_mismatch: return "the certificate is for another host";
    case TlsError::tlsa_mismatch: return "no TLSA record matches the certificate";
    case TlsError::tlsa_unusable: return "no TLSA record is usable";
    case TlsError::version_too_low: return "the TLS version is too low";
    case TlsError::requiretls_missing: return "REQUIRETLS is not offered";
  }
  return "unknown TLS error";
}

}  // namespace holdfast
