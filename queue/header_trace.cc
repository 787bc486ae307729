#include "queue/header_trace.h"

#include <algorithm>
#include <string_view>

#include "queue/header_section.h"

namespace holdfast {
namespace {

// What may stand in a comment or as a name; the client chose it.
std::string harmless(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 255))
    out += c > 32 && c < 127 && std::string_view("()<>\\\";,").find(c) == std::string_view::npos ? c : '?';
  return out;
}

std::string address_literal(const std::string& ip) {
  return ip.find(':') == std::string::npos ? "[" + ip + "]" : "[IPv6:" + ip + "]";
}

}  // namespace

std::string received_field(const ReceivedTrace& trace) {
  const TraceInfo& from = trace.envelope.trace;
  std::string field = "Received: ";
  if (!trace.hide_client && !from.helo.empty()) {
    field += "from " + harmless(from.helo);
    if (!from.client_ip.empty()) field += " (" + address_literal(harmless(from.client_ip)) + ")";
    field += "\r\n\t";
  }
  field += "by " + trace.hostname;
  if (!from.protocol.empty()) field += " with " + harmless(from.protocol);
  // RFC 8314 section 4.3 takes IANA's names of cipher suites; those of TLS 1.2 go into a comment.
  const std::size_t space = from.tls.find(' ');
  const std::string version = harmless(std::string_view(from.tls).substr(0, space));
  const std::string cipher =
      space == std::string::npos ? "" : harmless(std::string_view(from.tls).substr(space + 1));
  const bool registered = cipher.starts_with("TLS_");
  if (!cipher.empty() && !registered) field += " (" + version + " " + cipher + ")";
  field += "\r\n\tid " + trace.id.text();
  const auto& recipients = trace.envelope.recipients;
  if (recipients.size() == 1 && !recipients[0].address.domain().empty() &&
      (trace.envelope.smtputf8 || !recipients[0].address.needs_smtputf8()))
    field += " for <" + recipients[0].address.text() + ">";
  if (registered) field += "\r\n\ttls " + cipher + " (" + version + ")";
  return field + ";\r\n\t" + date_time(trace.at) + "\r\n";
}

}  // namespace holdfast
