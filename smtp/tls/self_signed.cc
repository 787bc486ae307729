// The certificate of a relay that was given none: better than clear text, and nothing more.
#include <openssl/err.h>

#include "smtp/base/base_error.h"
#include "smtp/tls/openssl.h"
#include "smtp/tls/tls_context.h"

namespace holdfast {
namespace {

constexpr long kTenYears = 3650L * 24 * 3600;
constexpr std::size_t kMaxCommonName = 64;  // ub-common-name, RFC 5280

bool add_host_name(X509* certificate, const std::string& hostname) {
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  GENERAL_NAME* entry = GENERAL_NAME_new();
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  bool done = names != nullptr && entry != nullptr && text != nullptr &&
              ASN1_STRING_set(text, hostname.data(), static_cast<int>(hostname.size())) == 1;
  if (done) {
    GENERAL_NAME_set0_value(entry, GEN_DNS, text);  // owns text now
    text = nullptr;
    done = sk_GENERAL_NAME_push(names, entry) > 0;
    if (done) entry = nullptr;
    done = done && X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
  }
  ASN1_IA5STRING_free(text);
  GENERAL_NAME_free(entry);
  GENERAL_NAMES_free(names);
  return done;
}

bool fill(X509* certificate, EVP_PKEY* key, const std::string& hostname, WallTime now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  std::time_t start = static_cast<std::time_t>(seconds) - 3600;  // clocks of clients may be late
  const auto common_name = reinterpret_cast<const unsigned char*>(hostname.data());
  const int size = static_cast<int>(std::min(hostname.size(), kMaxCommonName));
  const std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>> serial(BN_new());
  return serial && BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr &&
         X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_time_adj_ex(X509_getm_notBefore(certificate), 0, 0, &start) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), 0, kTenYears, &start) != nullptr &&
         X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName, MBSTRING_UTF8,
                                    common_name, size, -1, 0) == 1 &&
         X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
         X509_set_pubkey(certificate, key) == 1 && add_host_name(certificate, hostname) &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

std::string text_of(BIO* bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

}  // namespace

Result<SelfSigned> make_self_signed(const std::string& hostname, WallTime now) {
  ERR_clear_error();
  const PkeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  const BioPtr certificate_pem(BIO_new(BIO_s_mem())), key_pem(BIO_new(BIO_s_mem()));
  if (!key || !certificate || !certificate_pem || !key_pem ||
      !fill(certificate.get(), key.get(), hostname, now) ||
      PEM_write_bio_X509(certificate_pem.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Error(BaseError::io, "cannot make a self-signed certificate: " + take_openssl_error());
  }
  SelfSigned made;
  made.certificate_pem = text_of(certificate_pem.get());
  made.private_key_pem = text_of(key_pem.get());
  return made;
}

}  // namespace holdfast
