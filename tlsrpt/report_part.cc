#include "tlsrpt/report_part.h"

#include <map>

#include "smtp/wire/ascii.h"
#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

constexpr int kMaxDepth = 8;  // of parts in parts
constexpr std::size_t kMaxParts = 100;

// Cuts a line off, its LF and CR removed.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  auto line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Header fields by lower-case name, unfolded; of several the first counts. Leaves the body in `text`.
std::map<std::string, std::string> take_header(std::string_view& text) {
  std::map<std::string, std::string> fields;
  std::string* last = nullptr;
  while (!text.empty()) {
    const auto line = take_line(text);
    if (line.empty()) break;
    if (line.front() == ' ' || line.front() == '\t') {
      if (last) *last += line;
      continue;
    }
    const auto colon = line.find(':');
    last = nullptr;
    if (colon == line.npos) continue;  // "From " of a mailbox file, or garbage
    const auto [field, is_new] = fields.emplace(lower_case(line.substr(0, colon)), line.substr(colon + 1));
    if (is_new) last = &field->second;
  }
  return fields;
}

// RFC 2046 section 5.1.1: the line end before a delimiter belongs to it, not to the part.
std::string_view without_line_end(std::string_view part) {
  if (part.ends_with('\n')) part.remove_suffix(1);
  if (part.ends_with('\r')) part.remove_suffix(1);
  return part;
}

std::string_view trim_white_space(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string take_parameter_value(std::string_view& rest) {
  std::string value;
  if (!rest.starts_with('"')) {
    const auto end = std::min(rest.find(';'), rest.size());
    value = trim_white_space(rest.substr(0, end));
    rest.remove_prefix(end);
    return value;
  }
  rest.remove_prefix(1);
  while (!rest.empty() && rest.front() != '"') {
    if (rest.front() == '\\' && rest.size() > 1) rest.remove_prefix(1);
    value += rest.front();
    rest.remove_prefix(1);
  }
  rest.remove_prefix(std::min(rest.find(';'), rest.size()));
  return value;
}

// "multipart/report; boundary=x" → the value and its parameters, names in lower case.
struct FieldValue {
  std::string value;
  std::map<std::string, std::string> parameters;
};

FieldValue parse_value(std::string_view text) {
  FieldValue out;
  out.value = lower_case(trim_white_space(text.substr(0, text.find(';'))));
  text.remove_prefix(std::min(text.find(';'), text.size()));
  while (text.starts_with(';')) {
    text.remove_prefix(1);
    const auto equals = text.find('=');
    if (equals == text.npos) break;
    const std::string name = lower_case(trim_white_space(text.substr(0, equals)));
    text.remove_prefix(equals + 1);
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    out.parameters.emplace(name, take_parameter_value(text));
  }
  return out;
}

bool is_report(const FieldValue& type, const FieldValue& disposition) {
  if (type.value == "application/tlsrpt+gzip" || type.value == "application/tlsrpt+json") return true;
  if (type.value.starts_with("text/") || type.value.starts_with("message/")) return false;
  const auto named = disposition.parameters.find("filename");
  const auto called = type.parameters.find("name");
  const std::string file = lower_case(named != disposition.parameters.end() ? named->second
                                      : called != type.parameters.end()     ? called->second
                                                                            : "");
  return file.ends_with(".json") || file.ends_with(".json.gz");
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = to_upper(c);
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string decode_quoted_printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto line = take_line(text);
    const bool soft = line.ends_with('=');
    if (soft) line.remove_suffix(1);
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '=' && i + 2 < line.size() && hex_value(line[i + 1]) >= 0 &&
          hex_value(line[i + 2]) >= 0) {
        out += static_cast<char>(hex_value(line[i + 1]) * 16 + hex_value(line[i + 2]));
        i += 2;
      } else {
        out += line[i];
      }
    }
    if (!soft) out += '\n';
  }
  return out;
}

std::optional<std::string> decode(std::string_view body, std::string_view encoding) {
  const std::string how = lower_case(trim_white_space(encoding));
  if (how == "quoted-printable") return decode_quoted_printable(body);
  if (how != "base64") return std::string(body);
  std::string digits;
  for (const char c : body) {
    if (c != '\r' && c != '\n' && c != ' ' && c != '\t') digits += c;
  }
  while (digits.size() % 4 != 0) digits += '=';  // some leave the padding out
  return base64_decode(digits);
}

struct Finder {
  std::size_t parts = 0;

  std::optional<std::string> find(std::string_view part, int depth) {
    if (++parts > kMaxParts || depth > kMaxDepth) return std::nullopt;
    auto header = take_header(part);
    const auto type = parse_value(header["content-type"]);
    if (type.value.starts_with("multipart/")) {
      const auto boundary = type.parameters.find("boundary");
      return boundary == type.parameters.end() || boundary->second.empty()
                 ? std::nullopt
                 : find_among(part, boundary->second, depth);
    }
    if (type.value == "message/rfc822") return find(part, depth + 1);  // forwarded as an attachment
    if (!is_report(type, parse_value(header["content-disposition"]))) return std::nullopt;
    return decode(part, header["content-transfer-encoding"]);
  }

  std::optional<std::string> find_among(std::string_view body, const std::string& boundary, int depth) {
    const std::string delimiter = "--" + boundary;
    std::optional<std::size_t> begin;  // of the current part
    const std::string_view whole = body;
    while (!body.empty()) {
      const std::size_t line_at = whole.size() - body.size();
      const auto line = take_line(body);
      if (!line.starts_with(delimiter)) continue;
      if (begin) {
        const auto part = without_line_end(whole.substr(*begin, line_at - *begin));
        if (auto found = find(part, depth + 1)) return found;
      }
      if (line.substr(delimiter.size()).starts_with("--")) return std::nullopt;
      begin = whole.size() - body.size();
    }
    // The end was cut off; the last part may still be whole.
    return begin ? find(whole.substr(*begin), depth + 1) : std::nullopt;
  }
};

}  // namespace

std::optional<std::string> find_report_part(std::string_view message) { return Finder().find(message, 0); }

}  // namespace holdfast
