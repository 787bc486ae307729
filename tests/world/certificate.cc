#include "tests/world/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <memory>
#include <stdexcept>

namespace holdfast::world {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;

template <class T>
T must(T made) {
  if (!made) throw std::runtime_error("OpenSSL failed to make a certificate");
  return made;
}

std::string text_of(const Memory& memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

Memory memory_of(const std::string& text) {
  return Memory(must(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))));
}

std::string pem_of(X509* certificate) {
  Memory memory(must(BIO_new(BIO_s_mem())));
  must(PEM_write_bio_X509(memory.get(), certificate));
  return text_of(memory);
}

std::string pem_of(EVP_PKEY* key) {
  Memory memory(must(BIO_new(BIO_s_mem())));
  must(PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr));
  return text_of(memory);
}

Certificate certificate_from(const std::string& pem) {
  return Certificate(must(PEM_read_bio_X509(memory_of(pem).get(), nullptr, nullptr, nullptr)));
}

Key key_from(const std::string& pem) {
  return Key(must(PEM_read_bio_PrivateKey(memory_of(pem).get(), nullptr, nullptr, nullptr)));
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  Extension extension(must(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())));
  must(X509_add_ext(certificate, extension.get(), -1));
}

Certificate certify(const CertificateSpec& spec, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, bool ca) {
  Certificate certificate(must(X509_new()));
  X509* x = certificate.get();
  X509_set_version(x, 2);
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(x), static_cast<long>(spec.valid_from.count()));
  X509_gmtime_adj(X509_getm_notAfter(x), static_cast<long>(spec.valid_until.count()));
  X509_NAME* subject = X509_get_subject_name(x);
  // An empty subject would force a critical SAN; an organisation leaves both free.
  X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("test world"), -1, -1, 0);
  if (!spec.common_name.empty()) {
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(spec.common_name.c_str()), -1, -1, 0);
  }
  if (issuer == nullptr) issuer = x;
  X509_set_issuer_name(x, X509_get_subject_name(issuer));
  X509_set_pubkey(x, key);
  add_extension(x, issuer, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add_extension(x, issuer, NID_key_usage, ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  add_extension(x, issuer, NID_subject_key_identifier, "hash");
  if (issuer != x) add_extension(x, issuer, NID_authority_key_identifier, "keyid");
  if (!ca) add_extension(x, issuer, NID_ext_key_usage, "serverAuth");
  std::string names;
  for (const auto& name : spec.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  for (const auto& name : spec.ip_names) names += (names.empty() ? "IP:" : ",IP:") + name;
  if (!names.empty()) add_extension(x, issuer, NID_subject_alt_name, names);
  must(X509_sign(x, issuer_key, EVP_sha256()));
  return certificate;
}

std::string hex(const unsigned char* data, std::size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[data[i] >> 4];
    text += kDigits[data[i] & 15];
  }
  return text;
}

}  // namespace

void Identity::write_to(const std::filesystem::path& folder) const {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "certificate.pem") << chain_pem;
  std::ofstream key(folder / "key.pem");
  std::filesystem::permissions(folder / "key.pem", std::filesystem::perms(0600));
  key << key_pem;
}

Identity self_signed(const CertificateSpec& spec) {
  Key key(must(EVP_EC_gen("P-256")));
  return {pem_of(certify(spec, key.get(), nullptr, key.get(), false).get()), pem_of(key.get())};
}

Authority::Authority(const std::string& name) {
  Key key(must(EVP_EC_gen("P-256")));
  CertificateSpec spec;
  spec.common_name = name;
  root_ = {pem_of(certify(spec, key.get(), nullptr, key.get(), true).get()), pem_of(key.get())};
}

Identity Authority::issue(const CertificateSpec& spec) const {
  Key key(must(EVP_EC_gen("P-256")));
  const Certificate root = certificate_from(root_.chain_pem);
  const Key root_key = key_from(root_.key_pem);
  const auto certificate = certify(spec, key.get(), root.get(), root_key.get(), false);
  return {pem_of(certificate.get()), pem_of(key.get())};
}

Identity Authority::issue(const std::string& dns_name) const {
  CertificateSpec spec;
  spec.dns_names = {dns_name};
  return issue(spec);
}

std::string tlsa_association(const std::string& certificate_pem, int selector, int matching) {
  const Certificate certificate = certificate_from(certificate_pem);
  unsigned char* der = nullptr;
  const int size = selector == 0 ? i2d_X509(certificate.get(), &der)
                                 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
  if (size <= 0) throw std::runtime_error("the certificate cannot be encoded");
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(
      der, [](unsigned char* data) { OPENSSL_free(data); });
  if (matching == 0) return hex(der, static_cast<std::size_t>(size));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  must(EVP_Digest(der, static_cast<std::size_t>(size), digest, &length,
                  matching == 1 ? EVP_sha256() : EVP_sha512(), nullptr));
  return hex(digest, length);
}

}  // namespace holdfast::world
