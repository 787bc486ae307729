// smtp/tls/verify_error.h — OpenSSL's verification errors in this room's terms.
#pragma once

#include <string>

#include "smtp/tls/tls_error.h"

namespace holdfast {

TlsError error_of_verification(int x509_error);
std::string name_of_verification_error(int x509_error);  // "X509_V_ERR_CERT_HAS_EXPIRED"

}  // namespace holdfast
