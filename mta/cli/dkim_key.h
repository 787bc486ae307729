// mta/cli/dkim_key.h — makes a DKIM key pair: RSA, 2048 bits (RFC 8301 section 3.2).
#pragma once

#include <string>

namespace holdfast {

struct DkimKeyPair {
  std::string private_pem;  // PKCS #8
  std::string public_text;  // SubjectPublicKeyInfo in base64, for p= (RFC 6376 section 3.6.1)
};

// Throws std::runtime_error when OpenSSL cannot.
DkimKeyPair make_dkim_key();

// The public half of a private key in PEM; "" when it cannot be read.
std::string dkim_public_text(const std::string& private_pem);

}  // namespace holdfast
