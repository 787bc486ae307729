#include "smtp/base/domain_name.h"

#include <idn2.h>

#include <algorithm>
#include <memory>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxName =
    253;  // RFC 1035 section 2.3.4, without the length octets of root and first label
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxUnicode = 1020;  // what 255 code points take in UTF-8; more is no name

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Error malformed(const char* why) { return Error(BaseError::malformed, why); }

// Lower-cases in place; nullptr when every label is fine.
const char* check_labels(std::string& text) {
  if (text.empty()) return "an empty name";
  if (text.size() > kMaxName) return "a name of more than 253 octets";
  std::size_t start = 0;
  bool digits_only = true;  // of the current label
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != '.') {
      char& c = text[i];
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      const bool letter = c >= 'a' && c <= 'z';
      if (!letter && !is_digit(c) && c != '-' && c != '_') return "an octet that no label may hold";
      digits_only = digits_only && is_digit(c);
      continue;
    }
    if (i == start) return "an empty label";
    if (i - start > kMaxLabel) return "a label of more than 63 octets";
    if (text[start] == '-' || text[i - 1] == '-') return "a label that begins or ends with a hyphen";
    // No top-level domain is all digits (RFC 3696 section 2): it is an IPv4 address, or meant to pass for
    // one.
    if (i == text.size() && digits_only) return "a name that ends in a number, like an IPv4 address";
    start = i + 1;
    digits_only = true;
  }
  return nullptr;
}

struct Idn2Deleter {
  void operator()(char* text) const { idn2_free(text); }
};

}  // namespace

Result<DomainName> DomainName::parse(std::string_view text) {
  std::string name;
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    name = text;
  } else {
    if (text.size() > kMaxUnicode) return malformed("a name of more than 253 octets");
    if (text.find('\0') != text.npos) return malformed("an octet that no label may hold");
    char* raw = nullptr;
    const int status =
        idn2_to_ascii_8z(std::string(text).c_str(), &raw, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    const std::unique_ptr<char, Idn2Deleter> owned(raw);
    if (status != IDN2_OK || !raw) return malformed(idn2_strerror(status));
    name = raw;
  }
  if (!name.empty() && name.back() == '.') name.pop_back();
  if (const char* why = check_labels(name)) return malformed(why);
  return DomainName(std::move(name));
}

bool DomainName::is_within(const DomainName& ancestor) const {
  if (ancestor.empty() || text_.size() < ancestor.text_.size()) return false;
  if (!text_.ends_with(ancestor.text_)) return false;
  const auto rest = text_.size() - ancestor.text_.size();
  return rest == 0 || text_[rest - 1] == '.';
}

}  // namespace holdfast
