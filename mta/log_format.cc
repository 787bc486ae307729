#include "mta/log_format.h"

#include <fmt/format.h>

namespace holdfast {
namespace {

constexpr std::string_view kSchema = "\",\"schema\":1";

// At least `width` digits. A format string would be read anew for every line.
void append_digits(std::string& out, std::int64_t value, int width) {
  char digits[20];
  int count = 0;
  for (; value > 0 || count < width; value /= 10) digits[count++] = static_cast<char>('0' + value % 10);
  while (count > 0) out += digits[--count];
}

std::string clock_time(WallTime at) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(at);
  const std::chrono::hh_mm_ss time(ms - std::chrono::floor<std::chrono::days>(ms));
  std::string out;
  append_digits(out, time.hours().count(), 2);
  append_digits(out += ':', time.minutes().count(), 2);
  append_digits(out += ':', time.seconds().count(), 2);
  append_digits(out += '.', time.subseconds().count(), 3);
  return out;
}

// The end of the JSON value that begins at `at`: behind its quote, brace or last character.
std::size_t value_end(const std::string& json, std::size_t at) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = at; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == ',' && depth == 0) {
      return i;
    }
  }
  return json.size();
}

// A string's quotes go where nothing in it needs them.
std::string_view bare(std::string_view value) {
  if (value.size() < 3 || value.front() != '"') return value;
  const auto inner = value.substr(1, value.size() - 2);
  return inner.find_first_of(" \\=\"{}") == std::string_view::npos ? inner : value;
}

void append_as_text(std::string& out, const std::string& json) {
  for (std::size_t at = 0; at < json.size();) {
    const std::size_t key_end = json.find("\":", at);
    if (key_end == std::string::npos) return;
    const std::size_t end = value_end(json, key_end + 2);
    out += ' ';
    out.append(json, at + 1, key_end - at - 1);
    out += '=';
    out += bare(std::string_view(json).substr(key_end + 2, end - key_end - 2));
    at = end + 1;
  }
}

// The text without its quotes, escaped.
std::string escaped(std::string_view text) {
  Fields one;
  one.add("t", text);
  return one.json().substr(5, one.json().size() - 6);  // "t":"…"
}

}  // namespace

const char* name(LogLevel level) {
  switch (level) {
    case LogLevel::trace: return "trace";
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "error";
}

std::string log_timestamp(WallTime at) {
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(at));
  std::string out;
  out.reserve(sizeof "2026-01-31T23:59:59.999Z");
  append_digits(out, static_cast<int>(date.year()), 4);
  append_digits(out += '-', static_cast<unsigned>(date.month()), 2);
  append_digits(out += '-', static_cast<unsigned>(date.day()), 2);
  out += 'T';
  out += clock_time(at);
  out += 'Z';
  return out;
}

std::string json_event(WallTime at, std::string_view event, const std::string& fields) {
  std::string line = "{\"ts\":\"";
  line.reserve(fields.size() + 80);
  line += log_timestamp(at);
  line += "\",\"event\":\"";
  line += escaped(event);
  line += kSchema;
  if (!fields.empty()) line += ',';
  line += fields;
  line += '}';
  return line;
}

std::string json_diagnostic(WallTime at, LogLevel level, std::string_view text, const std::string& fields) {
  return fmt::format("{{\"ts\":\"{}\",\"level\":\"{}\",\"text\":\"{}\"{}{}}}", log_timestamp(at), name(level),
                     escaped(text), fields.empty() ? "" : ",", fields);
}

std::string text_event(WallTime at, std::string_view event, const std::string& fields) {
  std::string line = fmt::format("{} {}", clock_time(at), escaped(event));
  append_as_text(line, fields);
  return line;
}

std::string text_diagnostic(WallTime at, LogLevel level, std::string_view text, const std::string& fields) {
  std::string line = fmt::format("{} {}: {}", clock_time(at), name(level), escaped(text));
  append_as_text(line, fields);
  return line;
}

}  // namespace holdfast
