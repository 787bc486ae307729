#include "smtp/server/authenticator.h"

#include "smtp/wire/address.h"
#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

// "@b.example" or "@.b.example"; the domain may be written in any case and script.
bool domain_allowed(std::string_view pattern, std::string_view domain) {
  const bool subdomains = pattern.starts_with("@.");
  const std::string_view written = pattern.substr(subdomains ? 2 : 1);
  if (written.starts_with('[')) return !subdomains && equal_ignoring_case(written, domain);
  const auto name = DomainName::parse(written);
  if (!name) return false;
  if (!subdomains) return name->text() == domain;
  const auto own = DomainName::parse(domain);
  return own && *own != *name && own->is_within(*name);
}

bool allowed(std::string_view pattern, const Mailbox& sender) {
  if (pattern == "*") return true;
  if (pattern.starts_with('@')) return domain_allowed(pattern, sender.domain());
  const auto address = Mailbox::parse(pattern);
  // Local parts of different users that differ in case alone do not exist where people write addresses by
  // hand.
  return address && address->domain() == sender.domain() &&
         equal_ignoring_case(address->local_part(), sender.local_part());
}

}  // namespace

bool may_send_as(const std::vector<std::string>& senders, std::string_view address) {
  const auto sender = Mailbox::parse(address);
  if (!sender) return false;
  return std::any_of(senders.begin(), senders.end(),
                     [&](const std::string& pattern) { return allowed(pattern, *sender); });
}

}  // namespace holdfast
