#include "smtp/wire/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include "config/network.h"
#include "smtp/base/base_error.h"
#include "smtp/base/utf8.h"
#include "smtp/wire/ascii.h"
#include "smtp/wire/reply.h"

namespace holdfast {
namespace {

Error malformed(std::string detail) { return Error(BaseError::malformed, std::move(detail)); }

// RFC 5322 section 3.2.3; what is not ASCII is checked as UTF-8 by the caller (RFC 6531 section 3.3).
bool is_atext(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is_dot_string(std::string_view text) {
  if (text.empty() || text.front() == '.' || text.back() == '.') return false;
  if (text.find("..") != std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '.' || is_atext(c); });
}

// U+0080 to U+009F pass as UTF-8 but are controls.
bool has_control(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;
  }
  return false;
}

std::string quote(std::string_view content) {
  std::string out = "\"";
  for (char c : content) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// Octets of the quoted string at the start of `text`, quotes included; 0 when it does not end.
std::size_t quoted_length(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return 0;
}

std::string unquoted(std::string_view quoted_string) {
  std::string content;
  const std::string_view inner = quoted_string.substr(1, quoted_string.size() - 2);
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] == '\\') ++i;
    content += inner[i];
  }
  return content;
}

// RFC 5321 section 4.1.3. The IPv6 form is normalised, so that one address has one text.
Result<std::string> parse_literal(std::string_view text) {
  if (text.size() < 3 || text.back() != ']') return malformed("the address literal has no closing bracket");
  const std::string_view inner = text.substr(1, text.size() - 2);
  constexpr std::string_view kTag = "IPv6:";
  const bool tagged = inner.size() > kTag.size() && starts_ignoring_case(inner, kTag);
  const std::string_view number = tagged ? inner.substr(kTag.size()) : inner;
  const bool has_colon = number.find(':') != std::string_view::npos;
  const auto ip = parse_ip(number);
  if (!ip || has_colon != tagged) return malformed("the address literal is not [IPv4] or [IPv6:address]");
  if (!tagged) return fmt::format("[{}]", number);
  char shown[INET6_ADDRSTRLEN];
  if (inet_ntop(AF_INET6, ip->data(), shown, sizeof shown) == nullptr)
    return malformed("the address literal is not an address");
  return fmt::format("[IPv6:{}]", shown);
}

Result<std::string> parse_domain(std::string_view text) {
  if (text.empty()) return malformed("the domain after @ is missing");
  if (text.front() == '[') return parse_literal(text);
  auto name = DomainName::parse(text);
  if (!name) return malformed("the domain is not valid: " + sanitise(name.error().detail, 200));
  return name->text();
}

// Splits "local@domain" at the @ behind the local part; quotes may hide others.
Result<std::pair<std::string_view, std::string_view>> split(std::string_view text) {
  const std::size_t quoted_size = !text.empty() && text.front() == '"' ? quoted_length(text) : 0;
  if (!text.empty() && text.front() == '"' && quoted_size == 0)
    return malformed("the quoted local part does not end");
  const std::size_t at = quoted_size > 0 ? quoted_size : text.find('@');
  if (at == std::string_view::npos || at >= text.size() || text[at] != '@') {
    return malformed(quoted_size > 0 ? "@ must follow the quoted local part"
                                     : "an address needs an @ and a domain");
  }
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

Result<std::string> parse_local(std::string_view text) {
  if (text.empty()) return malformed("the local part before @ is empty");
  if (!is_utf8(text)) return malformed("the local part is not valid UTF-8");
  if (has_control(text)) return malformed("the local part holds a control character");
  std::string local(text);
  if (text.front() == '"') {
    const std::string content = unquoted(text);
    local = is_dot_string(content) ? content : quote(content);
  } else if (!is_dot_string(text)) {
    return malformed(
        "the local part holds a character that must be quoted, or a dot at its start, its end or twice");
  }
  if (local.size() > kMaxLocalPart)
    return malformed(fmt::format("the local part is longer than {} octets", kMaxLocalPart));
  return local;
}

}  // namespace

Result<Mailbox> Mailbox::parse(std::string_view text) {
  // Two octets of the path are its angle brackets.
  if (text.size() > kMaxPath - 2)
    return malformed(fmt::format("the address is longer than {} octets", kMaxPath - 2));
  auto parts = split(text);
  if (!parts) return parts.error();
  auto local = parse_local(parts->first);
  if (!local) return local.error();
  auto domain = parse_domain(parts->second);
  if (!domain) return domain.error();
  if (local->size() + 1 + domain->size() > kMaxPath - 2) {
    return malformed(
        fmt::format("the address with its domain as A-labels is longer than {} octets", kMaxPath - 2));
  }
  return make_mailbox(std::move(*local), std::move(*domain));
}

bool Mailbox::needs_smtputf8() const { return !is_ascii(local_); }

Mailbox make_mailbox(std::string local, std::string domain) {
  Mailbox mailbox;
  mailbox.local_ = std::move(local);
  mailbox.domain_ = std::move(domain);
  return mailbox;
}

Result<Mailbox> parse_path(std::string_view text, bool null_allowed) {
  if (text.size() < 2 || text.front() != '<' || text.back() != '>') {
    return malformed("the address must stand in angle brackets: <user@example.com>");
  }
  std::string_view inner = text.substr(1, text.size() - 2);
  if (inner.empty()) {
    if (null_allowed) return Mailbox();
    return malformed("a recipient cannot be empty");
  }
  if (!null_allowed && equal_ignoring_case(inner, "postmaster")) return make_mailbox("Postmaster", "");
  // RFC 5321 section 4.1.1.3 and appendix C: a source route is taken and ignored, but must be one.
  if (inner.front() == '@') {
    const std::size_t colon = inner.find(':');
    if (colon == std::string_view::npos) return malformed("the source route has no colon");
    std::string_view route = inner.substr(0, colon);
    while (!route.empty()) {
      const std::size_t comma = std::min(route.find(','), route.size());
      const std::string_view hop = route.substr(0, comma);
      if (hop.empty() || hop.front() != '@' || !DomainName::parse(hop.substr(1)))
        return malformed("the source route is not valid");
      route.remove_prefix(std::min(comma + 1, route.size()));
    }
    inner.remove_prefix(colon + 1);
  }
  return Mailbox::parse(inner);
}

}  // namespace holdfast
