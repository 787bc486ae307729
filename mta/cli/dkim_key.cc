#include "mta/cli/dkim_key.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <stdexcept>

namespace holdfast {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Bio = std::unique_ptr<BIO, FreeBio>;

std::string public_text(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return "";
  std::string out(4 * ((static_cast<std::size_t>(size) + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), der, size);
  OPENSSL_free(der);
  out.resize(static_cast<std::size_t>(length));
  return out;
}

}  // namespace

DkimKeyPair make_dkim_key() {
  const Key key(EVP_RSA_gen(2048));
  const Bio out(BIO_new(BIO_s_mem()));
  if (!key || !out ||
      PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    throw std::runtime_error("no DKIM key could be made");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  DkimKeyPair pair;
  pair.private_pem.assign(data, static_cast<std::size_t>(size));
  pair.public_text = public_text(key.get());
  return pair;
}

std::string dkim_public_text(const std::string& private_pem) {
  const Bio in(BIO_new_mem_buf(private_pem.data(), static_cast<int>(private_pem.size())));
  const Key key(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr) : nullptr);
  return key ? public_text(key.get()) : "";
}

}  // namespace holdfast
