// smtp/tls/verify.h — is this chain what the requirement asks? PKIX (RFC 5280, 6125) and DANE (RFC 6698,
// 7671).
//
// The chain is the one that this very handshake brought; it is looked at within the handshake, so that a peer
// that fails gets the alert that says why. PKIX and DANE are evaluated apart from each other, each with a
// verification of its own, and what is watched is evaluated like what is required. Any doubt is a failure.
#pragma once

#include <cstddef>

#include "smtp/tls/requirement.h"
#include "smtp/tls/tls_context.h"

typedef struct ssl_st SSL;
typedef struct x509_st X509;
typedef struct stack_st_X509 X509_STACK;  // STACK_OF(X509)

namespace holdfast {

inline constexpr int kMaxPeerCertificates = 20;  // real chains have up to 5; more only costs us time
inline constexpr int kMaxVerifyDepth = 10;       // intermediates
inline constexpr int kVerifySecurityLevel = 2;   // OpenSSL's: RSA 2048, EC 224, no SHA-1

// What failed, and as which X509_V_ERR_* the peer is told of it; 0 when nothing did.
struct ChainVerdict {
  TlsFailure failure;
  int x509_error = 0;
  std::string match;  // DANE: "3 1 1 at depth 0"
};

// `chain` begins with the leaf, as the peer sent it.
ChainVerdict verify_pkix(const TlsClientContexts& contexts, X509* leaf, X509_STACK* chain,
                         const PkixRequirement& requirement);
ChainVerdict verify_dane(const TlsClientContexts& contexts, X509* leaf, X509_STACK* chain,
                         const DaneRequirement& requirement);

// Whether OpenSSL can use the record and RFC 7672 section 3.1 lets us: usage 2 or 3, selector 0 or 1,
// matching type 0 to 2, data of the right length and, for full matching, a certificate or key that parses.
bool is_usable(const TlsClientContexts& contexts, const TlsaRecord& record);

// Looks at the peer's chain during one client handshake and writes the evidence. Attached to the SSL, which
// it must outlive.
class PeerVerifier {
 public:
  PeerVerifier(const TlsClientContexts& contexts, const TlsRequirement& requirement, TlsEvidence& evidence)
      : contexts_(contexts), requirement_(requirement), evidence_(evidence) {}
  PeerVerifier(const PeerVerifier&) = delete;
  PeerVerifier& operator=(const PeerVerifier&) = delete;

  void attach(SSL* ssl);
  // Returns the X509_V_ERR_* to refuse the handshake with; 0 to go on.
  int look_at(X509* leaf, X509_STACK* chain, TlsVersion version);

 private:
  const TlsClientContexts& contexts_;
  const TlsRequirement& requirement_;
  TlsEvidence& evidence_;
};

// Makes every client SSL of `context` ask its PeerVerifier in place of OpenSSL's own verification.
void install_peer_verification(SSL_CTX* context);

}  // namespace holdfast
