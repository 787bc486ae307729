#include "config/users_file.h"

#include <crypt.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <set>

#include "config/secret.h"
#include "config/values.h"

namespace holdfast {
namespace {

constexpr std::size_t sha256_size = 32;
constexpr std::size_t salt_size = 16;
// crypt(5) of libxcrypt takes 512 octets with the terminator; longer passwords would be cut or refused.
constexpr std::size_t longest_password = CRYPT_MAX_PASSPHRASE_SIZE - 1;
// PBKDF2 of more iterations takes seconds: a typing error in the file must not stop the server.
constexpr unsigned most_iterations = 10'000'000;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

// How many octets base64 text stands for; nullopt when it is malformed.
std::optional<std::size_t> base64_size(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::vector<unsigned char> out(text.size());
  const int size = EVP_DecodeBlock(out.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const auto padding = text.ends_with("==") ? 2U : text.ends_with('=') ? 1U : 0U;
  return static_cast<std::size_t>(size) - padding;
}

std::string hmac_sha256(std::string_view key, std::string_view data) {
  std::string out(sha256_size, '\0');
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(),
       reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}

std::string sha256(std::string_view data) {
  std::string out(sha256_size, '\0');
  unsigned size = 0;
  EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(out.data()), &size, EVP_sha256(),
             nullptr);
  return out;
}

std::optional<ScramKeys> parse_scram(std::string_view text) {
  const auto parts = split(text, ',');
  if (parts.size() != 4) return std::nullopt;
  ScramKeys keys;
  const auto [end, error] =
      std::from_chars(parts[0].data(), parts[0].data() + parts[0].size(), keys.iterations);
  if (error != std::errc() || end != parts[0].data() + parts[0].size()) return std::nullopt;
  if (keys.iterations < 4096 || keys.iterations > most_iterations) return std::nullopt;
  if (base64_size(parts[1]).value_or(0) < 8) return std::nullopt;
  if (base64_size(parts[2]) != sha256_size || base64_size(parts[3]) != sha256_size) return std::nullopt;
  keys.salt = parts[1], keys.stored_key = parts[2], keys.server_key = parts[3];
  return keys;
}

// One field of a line into `user`; what is wrong, or "".
std::string read_field(UserRecord& user, std::string_view field) {
  const auto equals = field.find('=');
  const std::string key(field.substr(0, equals));
  const bool has_value = equals != std::string_view::npos;
  const std::string_view value = has_value ? field.substr(equals + 1) : std::string_view();
  if (key == "suspended" || key == "tls-required-no") {
    if (has_value) return "\"" + key + "\" takes no value";
    (key == "suspended" ? user.suspended : user.tls_required_no) = true;
    return "";
  }
  if (key == "password") {
    if (!looks_like_hash(value))
      return "\"password\" is not a crypt(5) hash; set it by `holdfast user passwd`";
    user.password_hash = value;
  } else if (key == "scram") {
    user.scram = parse_scram(value);
    if (!user.scram)
      return "\"scram\" is not ITERATIONS,SALT,STOREDKEY,SERVERKEY; set it by `holdfast user passwd`";
  } else if (key == "senders") {
    for (const auto pattern : split(value, ',')) {
      if (!is_sender_pattern(pattern))
        return "\"" + std::string(pattern) +
               "\" is no sender: write *, a@b.example, @b.example or @.b.example";
      user.senders.emplace_back(pattern);
    }
  } else if (key == "messages" || key == "recipients") {
    const auto rate = value.empty() ? std::nullopt : parse_rate(value);
    if (!rate) return "\"" + std::string(value) + "\" is no rate: write it as 2000/h";
    (key == "messages" ? user.messages : user.recipients) = *rate;
  } else {
    return "unknown field \"" + key + "\"";
  }
  return "";
}

bool usable_password(std::string_view password) {
  return !password.empty() && password.size() <= longest_password &&
         password.find('\0') == std::string_view::npos;
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using CString = std::unique_ptr<char, Free>;

// The hash of `password` under `setting` (a setting or a whole hash); empty when crypt(5) refuses.
std::string run_crypt(std::string_view password, const std::string& setting) {
  // 32 KiB: too much for the stack of a pool thread. Value-initialised, as crypt_r asks for.
  const auto data = std::make_unique<crypt_data>();
  std::string terminated(password);
  const WipeAtEnd wiped(terminated);
  const char* hash = crypt_r(terminated.c_str(), setting.c_str(), data.get());
  std::string out = hash && hash[0] != '*' ? hash : "";
  OPENSSL_cleanse(data.get(), sizeof *data);
  return out;
}

}  // namespace

bool is_user_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '#') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > 0x20 && u != 0x7f && c != '=';
  });
}

bool is_sender_pattern(std::string_view pattern) {
  if (pattern == "*") return true;
  const auto at = pattern.rfind('@');
  if (at == std::string_view::npos || at + 1 == pattern.size() || pattern.size() > 320) return false;
  auto domain = pattern.substr(at + 1);
  if (at == 0 && domain.starts_with('.')) domain.remove_prefix(1);
  if (domain.empty() || domain.front() == '.') return false;
  return std::all_of(pattern.begin(), pattern.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > 0x20 && u != 0x7f && c != ',' && c != '*';
  });
}

bool looks_like_hash(std::string_view text) {
  constexpr std::array<std::string_view, 8> methods = {"$y$", "$gy$", "$7$",  "$6$",
                                                       "$5$", "$2a$", "$2b$", "$2y$"};
  if (std::none_of(methods.begin(), methods.end(), [&](auto m) { return text.starts_with(m); })) return false;
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
  if (!printable || text.size() > CRYPT_OUTPUT_SIZE - 1 || std::count(text.begin(), text.end(), '$') < 3)
    return false;
  return text.size() - text.rfind('$') >
         30;  // the shortest digest of these methods has 43 characters, bcrypt 53
}

UsersFile parse_users(std::string_view text) {
  UsersFile file;
  std::set<std::string, std::less<>> names;
  std::size_t line_number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const auto fields = split(line, ' ');
    UserRecord user;
    user.name = fields[0];
    std::string wrong = is_user_name(user.name) ? "" : "the line does not begin with a user's name";
    if (wrong.empty() && names.contains(user.name))
      wrong = "the user \"" + user.name + "\" stands here twice";
    for (std::size_t i = 1; i < fields.size() && wrong.empty(); ++i)
      if (!fields[i].empty()) wrong = read_field(user, fields[i]);
    if (!wrong.empty()) {
      file.errors.push_back("line " + std::to_string(line_number) + ": " + wrong);
      continue;
    }
    names.insert(user.name);
    file.users.push_back(std::move(user));
  }
  return file;
}

std::string print_users(const std::vector<UserRecord>& users) {
  std::string out = "# Users of Holdfast, kept by `holdfast user`; one line each.\n";
  for (const UserRecord& user : users) {
    out += user.name;
    if (!user.password_hash.empty()) out += " password=" + user.password_hash;
    if (user.scram)
      out += " scram=" + std::to_string(user.scram->iterations) + "," + user.scram->salt + "," +
             user.scram->stored_key + "," + user.scram->server_key;
    for (std::size_t i = 0; i < user.senders.size(); ++i)
      out += (i == 0 ? " senders=" : ",") + user.senders[i];
    if (!user.messages.unlimited()) out += " messages=" + print_rate(user.messages);
    if (!user.recipients.unlimited()) out += " recipients=" + print_rate(user.recipients);
    if (user.tls_required_no) out += " tls-required-no";
    if (user.suspended) out += " suspended";
    out += '\n';
  }
  return out;
}

Secret prepare_password(std::string_view password) {
  // Printable ASCII stays as it is, and need not go through a library that leaves copies behind.
  if (std::all_of(password.begin(), password.end(), [](char c) { return c >= ' ' && c < 0x7f; }) ||
      password.find('\0') != std::string_view::npos)
    return Secret(password);
  std::string terminated = heap_text(password);
  const WipeAtEnd wiped(terminated);
  char* prepared = nullptr;
  if (gsasl_saslprep(terminated.c_str(), GSASL_ALLOW_UNASSIGNED, &prepared, nullptr) != GSASL_OK || !prepared)
    return Secret(password);
  const std::string_view text = prepared;
  Secret out(text.empty() ? password : text);
  OPENSSL_cleanse(prepared, text.size());
  gsasl_free(prepared);
  return out;
}

bool verify_password(std::string_view hash, std::string_view password) {
  const Secret prepared = prepare_password(password);
  const std::string expected(hash);
  if (!usable_password(prepared.text()) || expected.empty()) return false;
  const std::string actual = run_crypt(prepared.text(), expected);
  return actual.size() == expected.size() &&
         CRYPTO_memcmp(actual.data(), expected.data(), actual.size()) == 0;
}

std::optional<std::string> hash_password(std::string_view password, unsigned long cost) {
  const Secret prepared = prepare_password(password);
  if (!usable_password(prepared.text())) return std::nullopt;
  const CString setting(crypt_gensalt_ra("$y$", cost, nullptr, 0));
  if (!setting) return std::nullopt;
  std::string hash = run_crypt(prepared.text(), setting.get());
  if (hash.empty()) return std::nullopt;
  return hash;
}

std::optional<ScramKeys> make_scram(std::string_view password, unsigned iterations) {
  std::string salt(salt_size, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(salt.data()), static_cast<int>(salt.size())) != 1)
    return std::nullopt;
  return derive_scram(password, salt, iterations);
}

std::optional<ScramKeys> derive_scram(std::string_view password, std::string_view salt, unsigned iterations) {
  const Secret prepared = prepare_password(password);
  if (!usable_password(prepared.text()) || iterations < 4096 || iterations > most_iterations)
    return std::nullopt;
  // SaltedPassword := Hi(Normalize(password), salt, i), RFC 5802 section 3.
  std::string salted(sha256_size, '\0');
  const WipeAtEnd salted_wiped(salted);
  if (PKCS5_PBKDF2_HMAC(prepared.text().data(), static_cast<int>(prepared.size()),
                        reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                        static_cast<int>(iterations), EVP_sha256(), static_cast<int>(sha256_size),
                        reinterpret_cast<unsigned char*>(salted.data())) != 1)
    return std::nullopt;
  ScramKeys keys;
  keys.iterations = iterations;
  keys.salt = base64(salt);
  std::string client_key = hmac_sha256(salted, "Client Key");
  const WipeAtEnd client_key_wiped(client_key);
  keys.stored_key = base64(sha256(client_key));
  keys.server_key = base64(hmac_sha256(salted, "Server Key"));
  return keys;
}

}  // namespace holdfast
