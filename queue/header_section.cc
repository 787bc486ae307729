#include "queue/header_section.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "smtp/base/base_error.h"
#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view name_in(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  std::string_view name = line.substr(0, colon);
  while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);  // RFC 5322 section 4.5, obsolete
  const bool sound = std::all_of(name.begin(), name.end(), [](char c) { return c > 32 && c < 127; });
  return sound ? name : std::string_view();
}

}  // namespace

std::string_view HeaderField::value() const {
  std::string_view text = raw.substr(raw.find(':') + 1);
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool begins_field(std::string_view line) { return !name_in(line).empty(); }

Result<std::vector<HeaderField>> parse_header(std::string_view text) {
  std::vector<HeaderField> fields;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    const std::size_t size = end == std::string_view::npos ? text.size() : end + 2;
    if (!line.empty() && is_blank(line.front()) && !fields.empty()) {
      HeaderField& last = fields.back();
      last.raw = std::string_view(last.raw.data(), last.raw.size() + size);
    } else {
      const std::string_view name = name_in(line);
      if (name.empty())
        return Error(BaseError::malformed, "line " + std::to_string(number) + " of the header is no field");
      fields.push_back({name, text.substr(0, size)});
    }
    text.remove_prefix(size);
  }
  return fields;
}

const HeaderField* find_field(const std::vector<HeaderField>& fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const HeaderField& field) {
    return equal_ignoring_case(field.name, name);
  });
  return found == fields.end() ? nullptr : &*found;
}

std::size_t count_fields(const std::vector<HeaderField>& fields, std::string_view name) {
  return static_cast<std::size_t>(std::count_if(fields.begin(), fields.end(), [&](const HeaderField& field) {
    return equal_ignoring_case(field.name, name);
  }));
}

std::string unfold(std::string_view value) {
  std::string out;
  std::copy_if(value.begin(), value.end(), std::back_inserter(out),
               [](char c) { return c != '\r' && c != '\n'; });
  return out;
}

std::string date_time(WallTime at) {
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(at - day));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
                     kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

}  // namespace holdfast
