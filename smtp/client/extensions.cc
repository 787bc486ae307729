// The reply to EHLO, RFC 5321 section 4.1.1.1.
#include <charconv>

#include "smtp/client/client_session.h"
#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> found;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    if (end > 0) found.push_back(upper_case(line.substr(0, end)));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return found;
}

// 0 for anything but a number: as if it had not been told.
template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : Number{0};
}

// RFC 9422: LIMITS RCPTMAX=100 MAILMAX=20
void read_limits(const std::vector<std::string>& line, Extensions& out) {
  for (const auto& entry : line) {
    if (entry.starts_with("RCPTMAX=")) out.rcpt_max = number<std::size_t>(std::string_view(entry).substr(8));
    if (entry.starts_with("MAILMAX=")) out.mail_max = number<std::size_t>(std::string_view(entry).substr(8));
  }
}

void read_line(std::vector<std::string> line, Extensions& out) {
  // "AUTH=LOGIN PLAIN" is how servers from before RFC 2554 say it.
  if (line[0].starts_with("AUTH=")) {
    line.insert(line.begin() + 1, line[0].substr(5));
    line[0] = "AUTH";
  }
  const std::string& keyword = line[0];
  if (keyword == "STARTTLS") out.starttls = true;
  if (keyword == "PIPELINING") out.pipelining = true;
  if (keyword == "8BITMIME") out.eight_bit = true;
  if (keyword == "SMTPUTF8") out.smtputf8 = true;
  if (keyword == "CHUNKING") out.chunking = true;
  if (keyword == "DSN") out.dsn = true;
  if (keyword == "ENHANCEDSTATUSCODES") out.enhanced_status = true;
  if (keyword == "REQUIRETLS") out.requiretls = true;
  if (keyword == "LIMITS") read_limits(line, out);
  if (keyword == "SIZE") {
    out.size_offered = true;
    if (line.size() > 1) out.size = number<std::uint64_t>(line[1]);
  }
  if (keyword == "AUTH") {
    for (std::size_t i = 1; i < line.size(); ++i) {
      const bool known = std::find(out.auth.begin(), out.auth.end(), line[i]) != out.auth.end();
      if (!line[i].empty() && !known) out.auth.push_back(line[i]);
    }
  }
}

}  // namespace

Extensions Extensions::parse(const Reply& ehlo) {
  Extensions found;
  // The first line names the peer.
  for (std::size_t i = 1; i < ehlo.text.size(); ++i) {
    auto line = words(ehlo.text[i]);
    if (!line.empty()) read_line(std::move(line), found);
  }
  return found;
}

}  // namespace holdfast
