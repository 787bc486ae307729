// The part of log_format.h about addresses: those that are logged as such, and those that stand in texts.
//
// Texts are others' words: a reply of an MX names the recipient, ours the sender. Every string of a line is
// looked at, whatever its field, so that no new field can forget to ask. A quoted local part counts, an
// encoded address (bob%40d.example) does not, nor does a name without a domain.
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "mta/log_format.h"

namespace holdfast {
namespace {

constexpr std::size_t hmac_digits = 16;  // 64 bits: no two addresses of a relay's life meet by chance
// A quoted local part has 64 octets at most (RFC 5321 section 4.5.3.1.1); what is longer is hidden from there
// on. Looking back further would cost whoever reads a hostile reply more than its length.
constexpr std::size_t quoted_reach = 1000;
// It has the form of an address and is none; messages are found by it.
constexpr std::string_view no_address = "message_id";

// As it stands between the quotes of a JSON string.
std::string json_inner(std::string_view text) {
  Fields one;
  one.add("t", text);
  return one.json().substr(5, one.json().size() - 6);  // "t":"…"
}

// What json_inner() was given.
std::string json_outer(std::string_view inner) {
  std::string out;
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] != '\\' || i + 1 == inner.size()) {
      out += inner[i];
      continue;
    }
    switch (const char c = inner[++i]) {
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        // Four digits, none of a surrogate: smtp/base/log.cc escapes nothing beyond them.
        const auto code =
            static_cast<unsigned>(std::strtoul(std::string(inner.substr(i + 1, 4)).c_str(), nullptr, 16));
        i += std::min<std::size_t>(4, inner.size() - i - 1);
        if (code >= 0x800) out += static_cast<char>(0xe0 | code >> 12);
        if (code >= 0x800) out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
        if (code >= 0x80 && code < 0x800) out += static_cast<char>(0xc0 | code >> 6);
        out += static_cast<char>(code < 0x80 ? code : 0x80 | (code & 0x3f));
        break;
      }
      default: out += c;
    }
  }
  return out;
}

std::string keyed_hash(std::string_view key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  std::string out;
  for (unsigned i = 0; i < size && out.size() < hmac_digits; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

// The first character of a local part, when it is a plain one; the rest is nobody's business.
std::string_view first_letter(std::string_view local) {
  const auto first = local.empty() ? '\\' : local.front();
  return first > ' ' && first < 0x7f && first != '\\' && first != '"' ? local.substr(0, 1)
                                                                      : std::string_view();
}

std::string hidden(std::string_view address, LogAddresses how, std::string_view key) {
  if (address.empty() || address == "<>") return std::string(address);
  const auto at = address.rfind('@');
  const auto local = address.substr(0, at);
  const auto domain = at == std::string_view::npos ? std::string_view() : address.substr(at);
  if (how == LogAddresses::hmac) return keyed_hash(key, address) + std::string(domain);
  return std::string(first_letter(local)) + "***" + std::string(domain);
}

bool is_of_word(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || (u >= '0' && u <= '9') || ((u | 0x20) >= 'a' && (u | 0x20) <= 'z');
}

// RFC 5321 section 4.1.2: atext and the dot.
bool is_of_local_part(char c) {
  return is_of_word(c) || std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
}

// Where the local part begins that ends at `end`; `end` when there is none.
std::size_t local_part_begin(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  if (end > 0 && text[end - 1] == '"') {
    const std::size_t reach = end > quoted_reach ? end - quoted_reach : 0;
    for (begin = end - 1; begin > reach;) {
      if (text[--begin] != '"') continue;
      std::size_t escapes = 0;
      while (begin - escapes > reach && text[begin - escapes - 1] == '\\') ++escapes;
      if (escapes % 2 == 0) return begin;
    }
    return reach > 0 ? reach : end;
  }
  while (begin > 0 && is_of_local_part(text[begin - 1])) --begin;
  return begin;
}

// Behind the domain or the address literal that begins at `begin`; a dot that ends a sentence is not of it.
std::size_t domain_end(std::string_view text, std::size_t begin) {
  if (begin < text.size() && text[begin] == '[') {
    const auto end = text.find_first_not_of("0123456789abcdefABCDEFIPvipV.:", begin + 1);
    return end != std::string_view::npos && text[end] == ']' ? end + 1 : begin;
  }
  std::size_t end = begin;
  while (end < text.size() &&
         (is_of_word(text[end]) || text[end] == '-' || text[end] == '.' || text[end] == '_'))
    ++end;
  while (end > begin && (text[end - 1] == '.' || text[end - 1] == '-')) --end;
  return end;
}

}  // namespace

// From the right, so that an @ within a quoted local part is met as a part of that.
std::string hide_addresses(std::string_view text, LogAddresses how, std::string_view key) {
  struct Found {
    std::size_t begin, at, end;
  };
  std::vector<Found> found;
  std::size_t limit = text.size();
  for (auto at = text.rfind('@'); at != std::string_view::npos && at > 0; at = text.rfind('@', at - 1)) {
    const std::size_t begin = local_part_begin(text, at);
    if (begin == at) continue;
    found.push_back({begin, at, domain_end(text.substr(0, limit), at + 1)});
    limit = begin;
    if (begin == 0) break;
    at = begin;
  }
  std::string out;
  std::size_t done = 0;
  for (auto each = found.rbegin(); each != found.rend(); ++each) {
    out += text.substr(done, each->begin - done);
    const auto address = text.substr(each->begin, each->end - each->begin);
    // The same hash as where the address is a field of its own, which is hashed as it is written.
    out += how == LogAddresses::hmac ? keyed_hash(key, json_inner(address)) +
                                           std::string(text.substr(each->at, each->end - each->at))
                                     : hidden(address, how, key);
    done = each->end;
  }
  return out += text.substr(done);
}

std::string apply_addresses(const Fields& fields, LogAddresses how, std::string_view key) {
  const std::string_view json = fields.json();
  if (how == LogAddresses::full) return fields.json();
  if (fields.addresses().empty() && json.find('@') == std::string_view::npos) return fields.json();
  std::string out;
  std::size_t done = 0;
  std::string_view field;
  auto span = fields.addresses().begin();
  for (auto quote = json.find('"'); quote != std::string_view::npos; quote = json.find('"', quote + 1)) {
    const std::size_t begin = quote + 1;
    std::size_t end = begin;
    while (json[end] != '"') end += json[end] == '\\' ? 2 : 1;
    quote = end;
    const auto value = json.substr(begin, end - begin);
    if (json.substr(end + 1).starts_with(':')) {
      field = value;
      continue;
    }
    const bool address = span != fields.addresses().end() && span->begin == begin;
    if (address) ++span;
    if (!address && (field == no_address || value.find('@') == std::string_view::npos)) continue;
    out += json.substr(done, begin - done);
    out += address ? hidden(value, how, key) : json_inner(hide_addresses(json_outer(value), how, key));
    done = end;
  }
  return out += json.substr(done);
}

}  // namespace holdfast
