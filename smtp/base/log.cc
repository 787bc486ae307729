#include "smtp/base/log.h"

#include <fmt/format.h>

#include <cmath>

#include "smtp/base/utf8.h"

namespace holdfast {
namespace {

constexpr std::string_view kReplacement = "\\ufffd";
constexpr std::size_t kUsualLength = 500;  // of an event's fields: one allocation

// What a terminal or a viewer could take as a command or as the end of a line: C0, DEL, C1, U+2028, U+2029
// and the marks that change the direction of writing.
bool is_harmful(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
         (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

std::uint32_t decode(std::string_view sequence) {
  const auto octet = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(sequence[i]));
  };
  switch (sequence.size()) {
    case 1: return octet(0);
    case 2: return (octet(0) & 0x1f) << 6 | (octet(1) & 0x3f);
    case 3: return (octet(0) & 0x0f) << 12 | (octet(1) & 0x3f) << 6 | (octet(2) & 0x3f);
    default:
      return (octet(0) & 0x07) << 18 | (octet(1) & 0x3f) << 12 | (octet(2) & 0x3f) << 6 | (octet(3) & 0x3f);
  }
}

// Nearly all there is: stands in a line as it came.
bool is_plain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

void escape_into(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    while (i < text.size() && is_plain(text[i])) ++i;
    out += text.substr(start, i - start);
    if (i == text.size()) return;
    const auto length = utf8_length(text.substr(i));
    if (length == 0) {
      out += kReplacement;
      ++i;
      continue;
    }
    const auto sequence = text.substr(i, length);
    const auto code = decode(sequence);
    i += length;
    switch (code) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (is_harmful(code)) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
        } else {
          out += sequence;
        }
    }
  }
}

}  // namespace

std::string& Fields::begin(std::string_view key) {
  if (!json_.empty()) {
    json_ += ',';
  } else {
    json_.reserve(kUsualLength);
  }
  json_ += '"';
  escape_into(json_, key);
  json_ += "\":";
  return json_;
}

Fields& Fields::add(std::string_view key, std::string_view value) {
  begin(key) += '"';
  escape_into(json_, value);
  json_ += '"';
  return *this;
}

Fields& Fields::add(std::string_view key, std::int64_t value) {
  begin(key) += std::to_string(value);
  return *this;
}

Fields& Fields::add(std::string_view key, std::uint64_t value) {
  begin(key) += std::to_string(value);
  return *this;
}

Fields& Fields::add(std::string_view key, double value) {
  begin(key) += std::isfinite(value) ? fmt::format("{}", value) : "null";  // JSON has no infinities
  return *this;
}

Fields& Fields::add(std::string_view key, bool value) {
  begin(key) += value ? "true" : "false";
  return *this;
}

Fields& Fields::add(std::string_view key, const Fields& object) {
  begin(key) += '{';
  const auto offset = json_.size();
  json_ += object.json_;
  json_ += '}';
  for (const auto& span : object.addresses_) addresses_.push_back({span.begin + offset, span.end + offset});
  return *this;
}

Fields& Fields::append(const Fields& other) {
  if (other.empty()) return *this;
  if (!json_.empty()) json_ += ',';
  const auto offset = json_.size();
  json_ += other.json_;
  for (const auto& span : other.addresses_) addresses_.push_back({span.begin + offset, span.end + offset});
  return *this;
}

Fields& Fields::add_address(std::string_view key, std::string_view address) {
  begin(key) += '"';
  const auto start = json_.size();
  escape_into(json_, address);
  addresses_.push_back({start, json_.size()});
  json_ += '"';
  return *this;
}

void PrefixLog::event(std::string_view name, const Fields& fields) const {
  Fields all = prefix_;
  all.append(fields);
  log_.event(name, all);
}

}  // namespace holdfast
