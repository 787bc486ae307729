#include "queue/dkim_key.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "config/secret.h"
#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

constexpr int kMinRsaBits = 1024;  // RFC 8301 section 3.2
constexpr unsigned kNewRsaBits = 2048;
constexpr std::size_t kMaxKeyFile = 64 * 1024;

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using MdContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Error crypto_error(std::string_view doing) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return Error(DkimError::crypto, std::string(doing) + ": " + text.data());
}

std::string_view octets_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Error io_error(std::string_view doing, const std::filesystem::path& path) {
  return Error(DkimError::io, std::string(doing) + " " + path.string() + ": " + std::strerror(errno));
}

}  // namespace

const char* category_name(DkimError) { return "dkim"; }

const char* describe(DkimError error) {
  switch (error) {
    case DkimError::no_key: return "there is no signing key";
    case DkimError::bad_key: return "the signing key cannot be used";
    case DkimError::exists: return "there is a signing key already";
    case DkimError::io: return "a key file could not be read or written";
    case DkimError::crypto: return "signing failed";
  }
  return "unknown DKIM error";
}

const char* name(DkimAlgorithm algorithm) {
  return algorithm == DkimAlgorithm::rsa_sha256 ? "rsa-sha256" : "ed25519-sha256";
}

Result<DkimKey> DkimKey::from_pem(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  // A key behind a pass phrase cannot be used: nobody is there to type it.
  auto no_phrase = [](char*, int, int, void*) { return 0; };
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_phrase, nullptr),
                                &EVP_PKEY_free);
  if (!key) {
    ERR_clear_error();
    return Error(DkimError::bad_key, "no private key in PEM form");
  }
  if (EVP_PKEY_is_a(key.get(), "ED25519") == 1) return DkimKey(std::move(key), DkimAlgorithm::ed25519_sha256);
  if (EVP_PKEY_is_a(key.get(), "RSA") != 1) return Error(DkimError::bad_key, "neither RSA nor Ed25519");
  if (EVP_PKEY_get_bits(key.get()) < kMinRsaBits)
    return Error(DkimError::bad_key, "an RSA key below 1024 bits");
  return DkimKey(std::move(key), DkimAlgorithm::rsa_sha256);
}

Result<DkimKey> DkimKey::load(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code) && !code) return Error(DkimError::no_key, path.string());
  const auto text = read_secret_file(path, kMaxKeyFile);
  if (!text) return io_error("reading", path);
  auto key = from_pem(text->text());
  if (!key) return Error(key.error().code, path.string() + ": " + key.error().detail);
  return key;
}

Result<DkimKey> DkimKey::generate(DkimAlgorithm algorithm) {
  EVP_PKEY* made = algorithm == DkimAlgorithm::rsa_sha256 ? EVP_RSA_gen(kNewRsaBits)
                                                          : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (made == nullptr) return crypto_error("making a key");
  return DkimKey(std::shared_ptr<EVP_PKEY>(made, &EVP_PKEY_free), algorithm);
}

Result<void> DkimKey::save(const std::filesystem::path& path) const {
  const Bio bio(BIO_new(BIO_s_secmem()), &BIO_free);  // wipes what was written
  if (PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return crypto_error("encoding a key");
  std::error_code code;
  std::filesystem::create_directories(path.parent_path(), code);
  if (code) return Error(DkimError::io, path.parent_path().string() + ": " + code.message());
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0 && errno == EEXIST) return Error(DkimError::exists, path.string());
  if (descriptor < 0) return io_error("creating", path);
  const std::string_view pem = octets_of(bio.get());
  const bool written = ::write(descriptor, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size()) &&
                       ::fsync(descriptor) == 0;
  auto result = written ? Result<void>() : Result<void>(io_error("writing", path));
  ::close(descriptor);
  if (!written) ::unlink(path.c_str());
  return result;
}

Result<std::string> DkimKey::sign(std::string_view input) const {
  const MdContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::string_view data = input;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  const bool rsa = algorithm_ == DkimAlgorithm::rsa_sha256;
  if (!rsa) {  // RFC 8463 section 3: PureEdDSA over the SHA-256 of the input
    SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(), digest.data());
    data = {reinterpret_cast<const char*>(digest.data()), digest.size()};
  }
  const auto* octets = reinterpret_cast<const unsigned char*>(data.data());
  std::size_t size = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, rsa ? EVP_sha256() : nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, octets, data.size()) != 1)
    return crypto_error("signing");
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, octets,
                     data.size()) != 1)
    return crypto_error("signing");
  signature.resize(size);
  return signature;
}

Result<std::string> DkimKey::record() const {
  if (algorithm_ == DkimAlgorithm::ed25519_sha256) {
    std::string raw(32, '\0');
    std::size_t size = raw.size();
    if (EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &size) != 1)
      return crypto_error("encoding a public key");
    return "v=DKIM1; k=ed25519; p=" + base64_encode(raw);
  }
  const Bio bio(BIO_new(BIO_s_mem()), &BIO_free);
  if (i2d_PUBKEY_bio(bio.get(), key_.get()) != 1) return crypto_error("encoding a public key");
  return "v=DKIM1; k=rsa; p=" + base64_encode(octets_of(bio.get()));
}

std::vector<DkimKeyFile> find_dkim_keys(const std::filesystem::path& key_dir) {
  namespace fs = std::filesystem;
  std::vector<DkimKeyFile> found;
  std::error_code code;
  for (fs::directory_iterator domain(key_dir, code), end; !code && domain != end; domain.increment(code)) {
    std::error_code inner;
    for (fs::directory_iterator file(domain->path(), inner); !inner && file != end; file.increment(inner)) {
      if (file->path().extension() == ".pem")
        found.push_back({domain->path().filename().string(), file->path().stem().string()});
    }
  }
  std::sort(found.begin(), found.end(), [](const DkimKeyFile& a, const DkimKeyFile& b) {
    return std::tie(a.domain, a.selector) < std::tie(b.domain, b.selector);
  });
  return found;
}

std::filesystem::path dkim_key_path(const std::filesystem::path& key_dir, const std::string& domain,
                                    const std::string& selector) {
  return key_dir / domain / (selector + ".pem");
}

std::string dkim_zone_line(const std::string& domain, const std::string& selector, std::string_view record) {
  constexpr std::size_t kString = 255;  // RFC 1035 section 3.3
  std::string line = selector + "._domainkey." + domain + ". IN TXT (";
  for (; !record.empty(); record.remove_prefix(std::min(kString, record.size())))
    line += " \"" + std::string(record.substr(0, kString)) + "\"";
  return line + " )";
}

}  // namespace holdfast
