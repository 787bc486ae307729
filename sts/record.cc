#include "sts/record.h"

#include <algorithm>

#include "smtp/wire/ascii.h"
#include "sts/sts_error.h"

namespace holdfast {
namespace {

constexpr std::string_view kVersion = "v=STSv1";
constexpr std::size_t kMaxId = 32;
constexpr std::size_t kMaxExtensionName = 32;

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_id(std::string_view value) {
  return !value.empty() && value.size() <= kMaxId && std::all_of(value.begin(), value.end(), is_alnum);
}

bool is_extension_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxExtensionName && is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alnum(c) || c == '_' || c == '-' || c == '.'; });
}

// Printable ASCII without "=", ";" and space.
bool is_extension_value(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(),
                                       [](char c) { return c > ' ' && c < 0x7f && c != '=' && c != ';'; });
}

// Field text in an error may come from anyone's zone: shortened, and log and DSN escape it.
std::string quoted(std::string_view field) {
  return "\"" + std::string(field.substr(0, 60)) + (field.size() > 60 ? "…\"" : "\"");
}

// `v=STSv1` and a delimiter; `blanks` allows white space before the semicolon.
bool has_version(std::string_view text, bool blanks) {
  if (!text.starts_with(kVersion)) return false;
  text.remove_prefix(kVersion.size());
  while (blanks && !text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return !text.empty() && text.front() == ';';
}

}  // namespace

Result<StsRecord> parse_sts_record(std::string_view text) {
  if (!has_version(text, true)) return Error(StsError::record_invalid, "does not begin with v=STSv1;");
  text.remove_prefix(text.find(';') + 1);
  std::optional<std::string> id;
  bool first = true;
  for (bool more = true; more; first = false) {
    const std::size_t end = text.find(';');
    more = end != std::string_view::npos;
    const std::string_view field = trim_blanks(text.substr(0, end));
    if (more) text.remove_prefix(end + 1);
    if (field.empty()) {
      if (more) return Error(StsError::record_invalid, "an empty field");
      if (first) return Error(StsError::record_invalid, "no field after the version");
      break;  // the one trailing semicolon that is allowed
    }
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos)
      return Error(StsError::record_invalid, quoted(field) + " has no \"=\"");
    const std::string_view key = field.substr(0, equals), value = field.substr(equals + 1);
    if (key == "id") {
      if (id) continue;  // the first one counts
      if (!is_id(value))
        return Error(StsError::record_invalid, "id is not 1 to 32 letters and digits: " + quoted(value));
      id = std::string(value);
    } else if (!is_extension_name(key) || !is_extension_value(value)) {
      return Error(StsError::record_invalid, "malformed field " + quoted(field));
    }
  }
  if (!id) return Error(StsError::record_invalid, "no id");
  return StsRecord{*id};
}

Result<std::optional<StsRecord>> find_sts_record(const std::vector<std::string>& txt) {
  std::vector<std::string_view> candidates;
  // The grammar allows white space before the semicolon, the rule for dropping does not. Such a record counts
  // only where there is no other: so it can neither disable a sound record beside it nor leave its own domain
  // bare.
  for (const bool blanks : {false, true}) {
    for (const std::string& text : txt) {
      if (has_version(text, blanks)) candidates.push_back(text);
    }
    if (!candidates.empty()) break;
  }
  if (candidates.empty()) return std::optional<StsRecord>();
  if (candidates.size() > 1) {
    return Error(StsError::record_invalid,
                 std::to_string(candidates.size()) + " records begin with v=STSv1;");
  }
  auto record = parse_sts_record(candidates.front());
  if (!record) return record.error();
  return std::optional<StsRecord>(*record);
}

}  // namespace holdfast
