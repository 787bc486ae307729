// smtp/tls/certificate.h — what a certificate says, for people, logs and evidence.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "smtp/tls/requirement.h"

typedef struct x509_st X509;
typedef struct asn1_string_st ASN1_TIME;

namespace holdfast {

inline constexpr std::size_t kMaxNamesShown = 50;  // of a certificate; some carry hundreds

CertificateInfo describe_certificate(X509* certificate);
std::string subject_of(X509* certificate);
std::vector<std::string> dns_names_of(X509* certificate);  // SAN dNSNames, at most kMaxNamesShown
WallTime to_wall(const ASN1_TIME* time);                   // the epoch when it cannot be read

}  // namespace holdfast
