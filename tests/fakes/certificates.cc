#include "tests/fakes/certificates.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace holdfast {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

void need(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(std::string("test certificate: ") + what);
}

std::string text_of(BIO* bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Bio memory() { return Bio(BIO_new(BIO_s_mem()), BIO_free_all); }
Bio memory(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all);
}

Key make_key(int rsa_bits) {
  EVP_PKEY* key = rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(rsa_bits)) : EVP_EC_gen("P-256");
  need(key != nullptr, "key");
  return Key(key, EVP_PKEY_free);
}

void set_time(ASN1_TIME* field, std::chrono::seconds from_now) {
  std::time_t now = std::time(nullptr);
  need(X509_time_adj_ex(field, 0, static_cast<long>(from_now.count()), &now) != nullptr, "time");
}

void add_names(X509* certificate, const CertificateSpec& spec) {
  if (spec.dns.empty() && spec.ip.empty()) return;
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(GENERAL_NAMES_new(),
                                                                      GENERAL_NAMES_free);
  for (const auto& name : spec.dns) {
    GENERAL_NAME* entry = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
    GENERAL_NAME_set0_value(entry, GEN_DNS, text);
    sk_GENERAL_NAME_push(names.get(), entry);
  }
  for (const auto& address : spec.ip) {
    unsigned char octets[16];
    const bool v4 = ::inet_pton(AF_INET, address.c_str(), octets) == 1;
    need(v4 || ::inet_pton(AF_INET6, address.c_str(), octets) == 1, "address");
    GENERAL_NAME* entry = GENERAL_NAME_new();
    ASN1_OCTET_STRING* data = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(data, octets, v4 ? 4 : 16);
    GENERAL_NAME_set0_value(entry, GEN_IPADD, data);
    sk_GENERAL_NAME_push(names.get(), entry);
  }
  need(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) == 1, "names");
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  need(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, value.c_str());
  X509_EXTENSION_free(extension);
}

// Serial numbers only have to differ.
long next_serial() {
  static std::atomic<long> serial{static_cast<long>(std::time(nullptr)) * 1000};
  return ++serial;
}

std::string der_of(int size, unsigned char* data) {
  need(size > 0, "encoding");
  std::string der(reinterpret_cast<char*>(data), static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

TestCertificate make(const CertificateSpec& spec, X509* issuer, EVP_PKEY* issuer_key) {
  const Key key = make_key(spec.rsa_bits);
  const Certificate certificate(X509_new(), X509_free);
  X509* c = certificate.get();
  X509_set_version(c, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(c), next_serial());
  set_time(X509_getm_notBefore(c), spec.valid_from);
  set_time(X509_getm_notAfter(c), spec.valid_to);
  X509_NAME_add_entry_by_NID(X509_get_subject_name(c), NID_commonName, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(spec.common_name.data()),
                             static_cast<int>(spec.common_name.size()), -1, 0);
  if (issuer == nullptr) issuer = c;
  if (issuer_key == nullptr) issuer_key = key.get();
  X509_set_issuer_name(c, X509_get_subject_name(issuer));
  X509_set_pubkey(c, key.get());
  add_names(c, spec);
  if (spec.authority) {
    const std::string length = spec.path_length < 0 ? "" : ",pathlen:" + std::to_string(spec.path_length);
    add_extension(c, issuer, NID_basic_constraints, "critical,CA:TRUE" + length);
    add_extension(c, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    std::string constraints;
    if (!spec.permitted_dns.empty()) constraints += ",permitted;DNS:" + spec.permitted_dns;
    if (!spec.excluded_dns.empty()) constraints += ",excluded;DNS:" + spec.excluded_dns;
    if (!constraints.empty()) add_extension(c, issuer, NID_name_constraints, "critical" + constraints);
  } else {
    add_extension(c, issuer, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(c, issuer, NID_ext_key_usage, spec.client_only ? "clientAuth" : "serverAuth");
  }
  add_extension(c, issuer, NID_subject_key_identifier, "hash");
  if (issuer != c) add_extension(c, issuer, NID_authority_key_identifier, "keyid");
  need(X509_sign(c, issuer_key, spec.sha1 ? EVP_sha1() : EVP_sha256()) > 0, "signature");

  TestCertificate made;
  const Bio pem = memory(), key_pem = memory();
  PEM_write_bio_X509(pem.get(), c);
  PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  made.pem = made.chain_pem = text_of(pem.get());
  made.key_pem = text_of(key_pem.get());
  unsigned char* data = nullptr;
  const int size = i2d_X509(c, &data);
  made.der = der_of(size, data);
  data = nullptr;
  const int key_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c), &data);
  made.spki_der = der_of(key_size, data);
  return made;
}

std::string digest(const EVP_MD* algorithm, const std::string& data) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  need(EVP_Digest(data.data(), data.size(), out, &size, algorithm, nullptr) == 1, "digest");
  return std::string(reinterpret_cast<char*>(out), size);
}

}  // namespace

TlsaRecord TestCertificate::tlsa(int usage, int selector, int matching_type) const {
  const std::string& data = selector == 0 ? der : spki_der;
  TlsaRecord record;
  record.usage = static_cast<std::uint8_t>(usage);
  record.selector = static_cast<std::uint8_t>(selector);
  record.matching_type = static_cast<std::uint8_t>(matching_type);
  record.data = matching_type == 0 ? data : digest(matching_type == 1 ? EVP_sha256() : EVP_sha512(), data);
  return record;
}

TestCertificate make_self_signed_certificate(const CertificateSpec& spec) {
  return make(spec, nullptr, nullptr);
}

TestCertificate issue(const TestCertificate& issuer, const CertificateSpec& spec) {
  const Certificate issuer_certificate(PEM_read_bio_X509(memory(issuer.pem).get(), nullptr, nullptr, nullptr),
                                       X509_free);
  const Key issuer_key(PEM_read_bio_PrivateKey(memory(issuer.key_pem).get(), nullptr, nullptr, nullptr),
                       EVP_PKEY_free);
  need(issuer_certificate && issuer_key, "issuer");
  auto made = make(spec, issuer_certificate.get(), issuer_key.get());
  // A root is not sent: the peer has it, or does not trust it.
  X509* c = issuer_certificate.get();
  const bool root = X509_NAME_cmp(X509_get_subject_name(c), X509_get_issuer_name(c)) == 0;
  if (!root) made.chain_pem += issuer.chain_pem;
  return made;
}

TestAuthority::TestAuthority(const std::string& name) {
  CertificateSpec spec;
  spec.authority = true;
  spec.common_name = name + " Root";
  spec.valid_to = std::chrono::hours(24 * 3650);
  root = make_self_signed_certificate(spec);
  spec.common_name = name + " Intermediate";
  intermediate = issue(root, spec);
}

TestCertificate TestAuthority::leaf_for(const std::string& host) const {
  CertificateSpec spec;
  spec.common_name = "ignored";
  spec.dns = {host};
  return leaf(spec);
}

TemporaryFile::TemporaryFile(const std::string& content) {
  std::string name = (std::filesystem::temp_directory_path() / "holdfast-test-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  need(descriptor >= 0, "temporary file");
  ::close(descriptor);
  path_ = name;
  std::ofstream(path_, std::ios::binary) << content;
}

TemporaryFile::~TemporaryFile() {
  std::error_code ignored;  // the system's cleaner takes what is left
  std::filesystem::remove(path_, ignored);
}

}  // namespace holdfast
