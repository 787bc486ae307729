#include "smtp/tls/certificate.h"

#include <openssl/objects.h>
#include <time.h>

#include "smtp/tls/openssl.h"

namespace holdfast {
namespace {

std::string name_text(const X509_NAME* name) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || name == nullptr) return {};
  if (X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return printable(std::string_view(data, static_cast<std::size_t>(size)));
}

std::string key_text(X509* certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (key == nullptr) return "unknown";
  const int type = EVP_PKEY_get_base_id(key);
  if (type == EVP_PKEY_RSA) return "RSA " + std::to_string(EVP_PKEY_get_bits(key));
  if (type == EVP_PKEY_EC) {
    char group[64] = {};
    std::size_t size = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1) return "EC";
    const char* nist = EC_curve_nid2nist(OBJ_sn2nid(group));
    return std::string("EC ") + (nist != nullptr ? nist : group);
  }
  const char* name = OBJ_nid2sn(type);
  return name != nullptr ? name : "unknown";
}

std::string fingerprint(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

}  // namespace

std::string subject_of(X509* certificate) { return name_text(X509_get_subject_name(certificate)); }

std::vector<std::string> dns_names_of(X509* certificate) {
  std::vector<std::string> names;
  auto* all =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all) && names.size() < kMaxNamesShown; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type != GEN_DNS) continue;
    const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    names.push_back(
        printable(std::string_view(data, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)))));
  }
  GENERAL_NAMES_free(all);
  return names;
}

WallTime to_wall(const ASN1_TIME* time) {
  std::tm fields{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &fields) != 1) return {};
  return WallTime(std::chrono::seconds(::timegm(&fields)));
}

CertificateInfo describe_certificate(X509* certificate) {
  CertificateInfo info;
  info.subject = subject_of(certificate);
  info.issuer = name_text(X509_get_issuer_name(certificate));
  info.names = dns_names_of(certificate);
  info.not_before = to_wall(X509_get0_notBefore(certificate));
  info.not_after = to_wall(X509_get0_notAfter(certificate));
  info.key = key_text(certificate);
  info.sha256 = fingerprint(certificate);
  return info;
}

}  // namespace holdfast
