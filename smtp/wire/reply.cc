#include "smtp/wire/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "smtp/base/utf8.h"
#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxSentLine = 512 - 2 - 4;  // RFC 5321 section 4.5.3.1.5, without code and CRLF

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// 1 to 3 digits; -1 otherwise.
int small_number(std::string_view text) {
  int value = -1;
  if (text.empty() || text.size() > 3) return -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !is_digit(text.front())) return -1;
  return value;
}

// C0, DEL, and the C1 controls U+0080 to U+009F, which terminals may obey.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

}  // namespace

std::string EnhancedStatus::text() const { return fmt::format("{}.{}.{}", status_class, subject, detail); }

std::optional<EnhancedStatus> EnhancedStatus::parse(std::string_view text) {
  if (text.size() < 5 || text[1] != '.') return std::nullopt;
  const std::size_t dot = text.find('.', 2);
  if (dot == std::string_view::npos) return std::nullopt;
  EnhancedStatus status{small_number(text.substr(0, 1)), small_number(text.substr(2, dot - 2)),
                        small_number(text.substr(dot + 1))};
  const bool known_class = status.status_class == 2 || status.status_class == 4 || status.status_class == 5;
  if (!known_class || status.subject < 0 || status.detail < 0) return std::nullopt;
  return status;
}

std::optional<EnhancedStatus> Reply::enhanced() const {
  if (text.empty()) return std::nullopt;
  const std::string_view first = text.front();
  auto status = EnhancedStatus::parse(first.substr(0, first.find(' ')));
  if (!status || status->status_class != code / 100) return std::nullopt;
  return status;
}

std::string Reply::summary() const {
  std::string joined = fmt::format("{}", code);
  for (const std::string& line : text) {
    if (!line.empty()) joined += " " + line;
    if (joined.size() > 512) break;
  }
  return sanitise(joined);
}

std::string Reply::wire() const {
  if (text.empty()) return fmt::format("{}\r\n", code);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char separator = i + 1 < text.size() ? '-' : ' ';
    out += fmt::format("{}{}{}\r\n", code, separator, sanitise(text[i], kMaxSentLine));
  }
  return out;
}

Reply make_reply(int code, std::string text) {
  Reply reply;
  reply.code = code;
  reply.text.push_back(std::move(text));
  return reply;
}

std::string sanitise(std::string_view peer_text, std::size_t limit) {
  std::string clean;
  clean.reserve(std::min(peer_text.size(), limit));
  while (!peer_text.empty()) {
    const auto special =
        std::find_if(peer_text.begin(), peer_text.end(), [](char c) { return c < 0x20 || c > 0x7E; });
    const auto plain = peer_text.substr(0, static_cast<std::size_t>(special - peer_text.begin()));
    clean += plain.substr(0, limit - clean.size());
    peer_text.remove_prefix(plain.size());
    if (peer_text.empty()) break;
    const std::size_t length = utf8_length(peer_text);
    const std::string_view character = peer_text.substr(0, std::max<std::size_t>(length, 1));
    const std::string_view shown = length == 0 ? "?" : is_control(character) ? " " : character;
    if (clean.size() + shown.size() > limit) break;
    clean += shown;
    peer_text.remove_prefix(character.size());
  }
  return clean;
}

Result<std::optional<Reply>> ReplyParser::feed(std::string_view line) {
  if (line.size() > kMaxReplyLine)
    return Error(WireError::line_too_long, "reply line: " + sanitise(line, 80));
  const bool code_is_sound =
      line.size() >= 3 && line[0] >= '2' && line[0] <= '5' && is_digit(line[1]) && is_digit(line[2]);
  const bool more = line.size() > 3 && line[3] == '-';
  if (!code_is_sound || (line.size() > 3 && !more && line[3] != ' ')) {
    return Error(WireError::malformed, "not an SMTP reply: " + sanitise(line, 80));
  }
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  // RFC 5321 section 4.2.1: all lines carry the same code. Guessing which one counts could turn a refusal
  // into an acceptance.
  if (!partial_.text.empty() && partial_.code != code) {
    return Error(WireError::malformed,
                 fmt::format("reply changes its code from {} to {}", partial_.code, code));
  }
  if (partial_.text.size() == kMaxReplyLines)
    return Error(WireError::reply_too_long, fmt::format("{} lines", kMaxReplyLines));
  partial_.code = code;
  partial_.text.emplace_back(line.size() > 4 ? line.substr(4) : std::string_view());
  if (more) return std::optional<Reply>();
  std::optional<Reply> whole(std::move(partial_));
  partial_ = Reply();
  return whole;
}

}  // namespace holdfast
