// smtp/tls/tls_error.h — what went wrong with TLS on a connection, in TLS's own terms. What that means to a
// TLS report is tlsrpt/result_type's business; what it means to a message is the deliverer's.
#pragma once

#include <string>

namespace holdfast {

enum class TlsError {
  none = 0,
  not_offered,      // the peer's EHLO does not offer STARTTLS
  refused,          // the peer answered STARTTLS with 4xx or 5xx
  injected,         // octets came between the reply to STARTTLS and the handshake: an attack
  connection_lost,  // the connection ended during STARTTLS or the handshake
  timed_out,
  protocol,        // the handshake failed: version, cipher, alert, garbage
  no_certificate,  // the peer presented none
  expired,         // a certificate of the chain is past its notAfter
  not_yet_valid,
  untrusted,           // no chain to a trusted root, or one that breaks a constraint
  host_mismatch,       // no SAN dNSName matches the reference name
  tlsa_mismatch,       // DANE: no TLSA record matches the chain
  tlsa_unusable,       // DANE: records there, none of them usable: TLS went on without authentication
  version_too_low,     // the negotiated version is under the requirement's minimum
  requiretls_missing,  // REQUIRETLS is not offered after TLS
};

const char* category_name(TlsError);
const char* describe(TlsError);

struct TlsFailure {
  TlsError error = TlsError::none;
  std::string detail;  // for people: the names seen, the alert, the peer's reply (sanitised)
  std::string code;    // machine-readable cause where there is one: "alert-48", "X509_V_ERR_CERT_HAS_EXPIRED"
  explicit operator bool() const { return error != TlsError::none; }
};

}  // namespace holdfast
