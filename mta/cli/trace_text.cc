#include "mta/cli/trace_text.h"

namespace holdfast {
namespace {

const json::value& part(const json::value& object, std::string_view key) {
  static const json::value nothing;
  const json::value* found = object.is_object() ? object.get_object().if_contains(key) : nullptr;
  return found ? *found : nothing;
}

const json::array& list_in(const json::value& object, std::string_view key) {
  static const json::array nothing;
  const json::value& found = part(object, key);
  return found.is_array() ? found.get_array() : nothing;
}

void add(std::string& line, const std::string& text, const char* before = ", ") {
  if (!text.empty()) line += (line.empty() ? "" : before) + text;
}

void add_lines(std::vector<std::string>& out, const std::string& text, const std::string& indent) {
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    out.push_back(indent + text.substr(at, end - at));
    at = end + 1;
  }
}

// "TLSv1.3 TLS_AES_256_GCM_SHA384, policy sts (enforce), success"
std::string tls_text(const json::value& detail) {
  const json::value& tls = part(detail, "tls");
  if (!tls.is_object()) return "";
  std::string line = member(tls, "version");
  add(line, member(tls, "cipher"), " ");
  const std::string result = member(tls, "result");
  // A handshake that failed leaves no session; what was wrong with it stands behind.
  const bool tried =
      !result.empty() && result != "none" && result != "success" && result != "starttls-not-supported";
  if (line.empty()) line = tried ? "TLS failed" : "no TLS";
  const std::string policy = member(tls, "policy"), mode = member(tls, "mode");
  if (!policy.empty() && policy != "none")
    add(line, "policy " + policy + (mode.empty() || mode == "none" ? "" : " (" + mode + ")"));
  if (result != "none") add(line, result);
  return line;
}

std::string size_text(const std::string& size) { return size.empty() ? "" : size + " octets"; }

}  // namespace

std::vector<std::string> event_text(const json::value& entry) {
  const json::value& detail = part(entry, "detail");
  std::vector<std::string> out;
  std::string head = member(entry, "at");
  add(head, member(entry, "event"), "  ");
  std::string what = member(detail, "to");
  const std::string count = member(detail, "recipients");
  if (!count.empty() && count != "1") what += " (" + count + " recipients)";
  if (!member(detail, "by").empty()) add(what, "by the " + member(detail, "by"));
  std::string where = member(detail, "mx");
  if (!member(detail, "ip").empty()) add(where, "[" + member(detail, "ip") + "]", " ");
  if (!where.empty()) add(what, where);
  if (!member(detail, "attempt").empty()) add(what, "attempt " + member(detail, "attempt"));
  add(head, what, "  ");
  out.push_back(std::move(head));
  const std::string indent = "    ";
  if (const std::string tls = tls_text(detail); !tls.empty()) out.push_back(indent + tls);
  add_lines(out, member(detail, "chain"), indent + "certificate: ");
  std::string reply = member(detail, "stage");
  add(reply, member(detail, "reply"), ": ");
  if (!reply.empty()) out.push_back(indent + reply);
  add_lines(out, member(detail, "transcript"), indent + "| ");
  return out;
}

std::vector<std::string> trace_text(const json::value& message) {
  std::vector<std::string> out;
  std::string head = member(message, "msg");
  add(head, member(message, "from"), "  from ");
  const std::string user = member(message, "user");
  if (!user.empty()) add(head, "user " + user);
  add(head, size_text(member(message, "size")));
  out.push_back(std::move(head));
  std::string more;
  if (!member(message, "message_id").empty()) add(more, "Message-ID " + member(message, "message_id"));
  if (member(message, "requiretls") == "yes") add(more, "REQUIRETLS");
  if (member(message, "tls_required_no") == "yes") add(more, "TLS-Required: No");
  if (!more.empty()) out.push_back("  " + more);
  for (const json::value& recipient : list_in(message, "recipients")) {
    std::string line = "  to " + member(recipient, "to") + "  " + member(recipient, "state");
    const std::string attempts = member(recipient, "attempts");
    if (attempts != "0") add(line, attempts + (attempts == "1" ? " attempt" : " attempts"));
    if (!member(recipient, "next").empty()) add(line, "next " + member(recipient, "next"));
    if (!member(recipient, "ended").empty()) add(line, "at " + member(recipient, "ended"));
    add(line, member(recipient, "reason"), ": ");
    out.push_back(std::move(line));
  }
  out.emplace_back();
  std::string accepted = member(message, "accepted");
  if (!accepted.empty()) {
    add(accepted, "accepted", "  ");
    if (!member(message, "origin").empty()) add(accepted, "by " + member(message, "origin"), "  ");
    out.push_back(std::move(accepted));
  }
  for (const json::value& entry : list_in(message, "history"))
    for (auto& line : event_text(entry)) out.push_back(std::move(line));
  return out;
}

}  // namespace holdfast
