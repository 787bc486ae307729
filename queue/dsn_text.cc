#include "queue/dsn_text.h"

#include <fmt/format.h>

#include "queue/header_section.h"
#include "smtp/base/utf8.h"
#include "smtp/wire/xtext.h"

namespace holdfast {
namespace {

constexpr std::size_t kLine = 76;
constexpr std::size_t kField = 900;  // octets of one value: a line may have 998

const char* action(DsnKind kind) {
  switch (kind) {
    case DsnKind::failed: return "failed";
    case DsnKind::delayed: return "delayed";
    case DsnKind::relayed: return "relayed";
    case DsnKind::delivered: return "delivered";
  }
  return "failed";
}

std::string status_of(DsnKind kind, const std::string& given) {
  if (EnhancedStatus::parse(given)) return given;
  if (kind == DsnKind::failed) return "5.0.0";
  return kind == DsnKind::delayed ? "4.0.0" : "2.0.0";
}

std::string_view without_type(std::string_view diagnostic) {
  return diagnostic.starts_with("smtp; ") ? diagnostic.substr(6) : diagnostic;
}

// ORCPT is "type;xtext"; the report has the address in clear (RFC 3464 section 2.3.1).
std::string original_recipient(const std::string& orcpt, bool utf8) {
  const std::size_t at = orcpt.find(';');
  if (at == std::string::npos) return {};
  const auto plain = xtext_decode(std::string_view(orcpt).substr(at + 1));
  const std::string address = plain ? *plain : orcpt.substr(at + 1);
  return dsn_safe(orcpt.substr(0, at), false) + ";" + dsn_safe(address, utf8);
}

std::string opening(const DsnRequest& request) {
  switch (request.kind) {
    case DsnKind::failed:
      return "Your message could not be delivered to one or more of its recipients. It will not be tried "
             "again "
             "for those named below.";
    case DsnKind::delayed:
      return "Your message has not been delivered yet to the recipients named below. Nothing is lost and "
             "there "
             "is nothing for you to do: delivery is tried again until " +
             date_time(request.will_retry_until) + ".";
    case DsnKind::relayed:
      return "Your message was handed over to the mail servers of the recipients named below. Those servers "
             "do "
             "not send delivery notifications, so this is the last one that you will get for them.";
    case DsnKind::delivered: return "Your message was delivered to the recipients named below.";
  }
  return {};
}

void add_field(std::string& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out += fmt::format("{}: {}\r\n", name, value);
}

}  // namespace

const char* dsn_subject(DsnKind kind) {
  switch (kind) {
    case DsnKind::failed: return "Undelivered mail returned to sender";
    case DsnKind::delayed: return "Delivery of your mail is delayed";
    case DsnKind::relayed: return "Your mail was relayed";
    case DsnKind::delivered: return "Your mail was delivered";
  }
  return "";
}

std::string dsn_safe(std::string_view text, bool utf8) {
  std::string out = sanitise(text, kField);
  if (utf8) return out;
  for (char& c : out)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return out;
}

std::string dsn_address(const Mailbox& address, bool utf8) {
  const std::string text = address.text();
  if (is_ascii(text)) return "rfc822; " + dsn_safe(text, false);
  if (utf8) return "utf-8; " + dsn_safe(text, true);
  // utf-8-addr-xtext: \x{…} for what is not printable ASCII, and for the characters that would mislead.
  std::string out = "utf-8; ";
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t size = std::max<std::size_t>(utf8_length(rest), 1);
    const auto first = static_cast<unsigned char>(rest.front());
    if (size == 1 && first > 32 && first < 127 && first != '\\' && first != '+' && first != '=') {
      out += static_cast<char>(first);
    } else {
      unsigned point = size == 1 ? first : first & (0x7fU >> size);
      for (std::size_t i = 1; i < size; ++i)
        point = (point << 6) | (static_cast<unsigned char>(rest[i]) & 0x3fU);
      out += fmt::format("\\x{{{:X}}}", point);
    }
    rest.remove_prefix(size);
  }
  return out;
}

std::string wrap_words(std::string_view text, std::string_view indent) {
  std::string out;
  std::string line(indent);
  bool empty = true;
  while (!text.empty()) {
    const std::size_t start = text.find_first_not_of(' ');
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find(' '));
    if (!empty && line.size() + 1 + word.size() > kLine) {
      out += line + "\r\n";
      line = indent;
      empty = true;
    }
    if (!empty) line += ' ';
    line += word;
    empty = false;
    text.remove_prefix(word.size());
  }
  return empty ? out : out + line + "\r\n";
}

std::string dsn_explanation(const DsnRequest& request, const std::vector<DsnRecipient>& recipients) {
  std::string out =
      "This is the mail relay " + request.hostname + ".\r\n\r\n" + wrap_words(opening(request), "");
  for (const auto& recipient : recipients) {
    out += "\r\n<" + dsn_safe(recipient.address.text(), true) + ">\r\n";
    const std::string explanation = dsn_safe(recipient.explanation, true);
    const std::string said = dsn_safe(without_type(recipient.diagnostic), true);
    out += wrap_words(explanation, "    ");
    if (!said.empty() && explanation.find(said) == std::string::npos) {
      const std::string who =
          recipient.remote_mta.empty() ? "The other server" : dsn_safe(recipient.remote_mta, false);
      out += wrap_words(who + " said: " + said, "    ");
    }
    if (!recipient.policy.empty())
      out += wrap_words("TLS policy: " + dsn_safe(recipient.policy, false), "    ");
  }
  out += "\r\n" + wrap_words("If you cannot make sense of this, ask " + request.postmaster + ".", "");
  return out;
}

std::string dsn_status(const DsnRequest& request, const std::vector<DsnRecipient>& recipients, bool utf8) {
  std::string out;
  if (!request.original->envelope_id.empty()) {
    const auto plain = xtext_decode(request.original->envelope_id);
    add_field(out, "Original-Envelope-Id", dsn_safe(plain.value_or(request.original->envelope_id), false));
  }
  add_field(out, "Reporting-MTA", "dns; " + request.hostname);
  add_field(out, "Arrival-Date", date_time(request.original->accepted));
  for (const auto& recipient : recipients) {
    out += "\r\n";
    add_field(out, "Original-Recipient", original_recipient(recipient.dsn.original_recipient, utf8));
    add_field(out, "Final-Recipient", dsn_address(recipient.address, utf8));
    add_field(out, "Action", action(request.kind));
    add_field(out, "Status", status_of(request.kind, recipient.status));
    if (!recipient.remote_mta.empty())
      add_field(out, "Remote-MTA", "dns; " + dsn_safe(recipient.remote_mta, false));
    add_field(out, "Diagnostic-Code", dsn_safe(recipient.diagnostic, utf8));
    if (recipient.last_attempt) add_field(out, "Last-Attempt-Date", date_time(*recipient.last_attempt));
    if (request.kind == DsnKind::delayed)
      add_field(out, "Will-Retry-Until", date_time(request.will_retry_until));
    add_field(out, "X-Holdfast-TLS-Policy", dsn_safe(recipient.policy, false));
  }
  return out;
}

}  // namespace holdfast
