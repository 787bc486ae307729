#include "tlsrpt/record.h"

#include <algorithm>

#include "smtp/base/base_error.h"
#include "smtp/wire/address.h"
#include "smtp/wire/ascii.h"

namespace holdfast {

namespace {

constexpr std::string_view kVersion = "v=TLSRPTv1";

std::string_view take_until(std::string_view& text, char end) {
  const auto part = text.substr(0, text.find(end));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// field-name = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / "."), RFC 8460 section 3.
bool valid_field_name(std::string_view name) {
  return !name.empty() && name.size() <= 32 && is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alnum(c) || c == '_' || c == '-' || c == '.'; });
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return std::nullopt;
    out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
    i += 2;
  }
  return out;
}

bool has_scheme(std::string_view uri, std::string_view scheme) {
  return uri.size() > scheme.size() && starts_ignoring_case(uri, scheme);
}

// nullopt: a scheme that we do not know, or an address that nobody could be written to. The other targets
// count.
std::optional<ReportTarget> parse_target(std::string_view uri) {
  ReportTarget target;
  if (has_scheme(uri, "https:")) {
    target.kind = ReportTarget::Kind::https;
    target.address = uri;
    return target;
  }
  if (!has_scheme(uri, "mailto:")) return std::nullopt;
  // RFC 8460 section 3: the header fields of a mailto URI are ignored.
  const auto address =
      percent_decode(uri.substr(7, uri.find('?') == uri.npos ? uri.npos : uri.find('?') - 7));
  if (!address) return std::nullopt;
  const auto mailbox = Mailbox::parse(*address);
  if (!mailbox || mailbox->is_literal()) return std::nullopt;
  target.address = mailbox->text();
  return target;
}

// The version and its semicolon; `blanks` allows white space around the version.
bool has_version(std::string_view text, bool blanks) {
  const auto semicolon = text.find(';');
  if (semicolon == std::string_view::npos) return false;
  const auto version = text.substr(0, semicolon);
  return (blanks ? trim_blanks(version) : version) == kVersion;
}

Error malformed_record(std::string why) {
  return Error(BaseError::malformed, "TLSRPT record: " + std::move(why));
}

}  // namespace

std::string ReportTarget::uri() const { return kind == Kind::mailto ? "mailto:" + address : address; }

Result<TlsrptRecord> parse_tlsrpt_record(std::string_view text) {
  if (!has_version(text, true)) return malformed_record("does not begin with v=TLSRPTv1;");
  auto rest = text.substr(text.find(';') + 1);
  TlsrptRecord record;
  bool seen_rua = false;
  while (!trim_blanks(rest).empty()) {
    const auto field = trim_blanks(take_until(rest, ';'));
    const auto equals = field.find('=');
    if (equals == std::string_view::npos || !valid_field_name(trim_blanks(field.substr(0, equals)))) {
      return malformed_record("\"" + std::string(field.substr(0, 64)) + "\" is no name=value");
    }
    if (trim_blanks(field.substr(0, equals)) != "rua" || seen_rua)
      continue;  // extensions; of several the first counts
    seen_rua = true;
    auto uris = field.substr(equals + 1);
    while (!uris.empty()) {
      const auto target = parse_target(trim_blanks(take_until(uris, ',')));
      if (target && record.targets.size() < kMaxReportTargets) record.targets.push_back(*target);
    }
  }
  if (!seen_rua) return malformed_record("has no rua=");
  return record;
}

Result<std::optional<TlsrptRecord>> find_tlsrpt_record(const std::vector<std::string>& txt) {
  std::vector<std::string_view> candidates;
  // Section 3 drops what does not begin with "v=TLSRPTv1;" before it counts. A record with white space there
  // counts only where there is no other: so it can neither disable a sound record beside it nor leave its own
  // domain without reports.
  for (const bool blanks : {false, true}) {
    for (const std::string& record : txt) {
      if (has_version(record, blanks)) candidates.push_back(record);
    }
    if (!candidates.empty()) break;
  }
  if (candidates.empty()) return std::optional<TlsrptRecord>();
  if (candidates.size() > 1) return malformed_record("there are several records of version TLSRPTv1");
  auto parsed = parse_tlsrpt_record(candidates.front());
  if (!parsed) return parsed.error();
  return std::optional<TlsrptRecord>(std::move(*parsed));
}

}  // namespace holdfast
