#include "queue/route_table.h"

#include <algorithm>
#include <functional>

#include "smtp/base/domain_name.h"

namespace holdfast {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Patterns in the form that domains are stored in: A-labels, lower case.
std::string normal_domain(std::string_view pattern) {
  const bool wild = pattern.starts_with("*.");
  if (wild) pattern.remove_prefix(2);
  auto name = DomainName::parse(pattern);
  return (wild ? "*." : "") + (name ? name->text() : lower(pattern));
}

std::string normal_sender(std::string_view pattern) {
  if (pattern.empty() || pattern == "<>") return "<>";
  if (pattern.starts_with("@")) pattern.remove_prefix(1);
  const auto at = pattern.rfind('@');
  if (at == std::string_view::npos) return normal_domain(pattern);
  return lower(pattern.substr(0, at)) + "@" + normal_domain(pattern.substr(at + 1));
}

bool sender_matches(const std::string& pattern, const Mailbox& sender) {
  if (pattern == "*") return true;
  if (sender.empty()) return pattern == "<>";
  const auto at = pattern.rfind('@');
  if (at == std::string::npos) return domain_pattern_matches(pattern, sender.domain());
  return lower(sender.local_part()) == pattern.substr(0, at) && sender.domain() == pattern.substr(at + 1);
}

bool takes_domain(const std::vector<std::string>& patterns, std::string_view domain) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                         [&](const auto& p) { return domain_pattern_matches(p, domain); });
}

const char* name(RouteTls tls) {
  switch (tls) {
    case RouteTls::opportunistic: return "opportunistic";
    case RouteTls::required: return "required";
    case RouteTls::verify: return "verify";
  }
  return "verify";
}

}  // namespace

bool domain_pattern_matches(std::string_view pattern, std::string_view domain) {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return pattern == domain;
  const std::string_view suffix = pattern.substr(1);  // ".corp.example"
  return domain.size() > suffix.size() && domain.ends_with(suffix);
}

RouteTable::RouteTable(SettingsPtr settings) : settings_(std::move(settings)) {
  for (const RouteSettings& route : settings_->routes) {
    Entry entry;
    for (const auto& p : route.recipients) entry.recipients.push_back(normal_domain(p));
    for (const auto& p : route.senders) entry.senders.push_back(normal_sender(p));
    entry.route = std::shared_ptr<const RouteSettings>(settings_, &route);
    entries_.push_back(std::move(entry));
  }
}

std::shared_ptr<const RouteSettings> RouteTable::find(std::string_view domain,
                                                      const Mailbox& reverse_path) const {
  for (const Entry& entry : entries_) {
    if (!takes_domain(entry.recipients, domain)) continue;
    const bool sender_fits =
        entry.senders.empty() || std::any_of(entry.senders.begin(), entry.senders.end(),
                                             [&](const auto& p) { return sender_matches(p, reverse_path); });
    if (sender_fits) return entry.route;
  }
  return nullptr;
}

bool RouteTable::depends_on_sender(std::string_view domain) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return !entry.senders.empty() && takes_domain(entry.recipients, domain);
  });
}

std::string route_name(const RouteSettings& route) {
  std::string out;
  for (const NextHop& hop : route.via) {
    if (!out.empty()) out += ", ";
    if (hop.implicit_tls) out += "tls://";
    if (hop.kind == NextHop::Kind::mx) out += "mx:";
    out += hop.target.text();
  }
  return out;
}

std::string route_key(const RouteSettings& route) {
  std::string key = "route " + route_name(route) + " " + name(route.tls) + " " + route.min_version;
  for (const std::string& cipher : route.ciphers) key += " " + cipher;
  if (!route.username.empty())
    key += " as " + route.username + " #" + std::to_string(std::hash<std::string>()(route.password));
  return key;
}

}  // namespace holdfast
