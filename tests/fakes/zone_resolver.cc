#include "tests/fakes/zone_resolver.h"

#include <algorithm>
#include <stdexcept>

#include "smtp/base/stream.h"

namespace holdfast {
namespace {

std::string canonical(std::string name) {
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (name.ends_with('.')) name.pop_back();
  return name;
}

bool is_below(const std::string& name, const std::string& domain) {
  return name == domain || name.ends_with("." + domain);
}

}  // namespace

asio::awaitable<DnsAnswer> ZoneResolver::query(std::string name, RecordType type) {
  std::function<asio::awaitable<void>(std::string, RecordType)> hook;
  {
    std::lock_guard lock(mutex_);
    queries_.emplace_back(name, type);
    hook = hook_;
  }
  if (hook) co_await hook(name, type);
  co_return answer(name, type);
}

DnsAnswer ZoneResolver::answer(const std::string& name, RecordType type) const {
  std::lock_guard lock(mutex_);
  DnsAnswer answer;
  answer.name = canonical(name);
  answer.secure = true;
  answer.ttl = ttl_;
  for (int hops = 0;; ++hops) {
    answer.alias_secure = false;
    if (const auto status = failure(answer.name, type)) {
      answer.status = *status;
      answer.secure = false;
      return answer;
    }
    answer.secure = answer.secure && is_secure(answer.name, type);
    // Like a validating server, which sets AD for the whole chain or not at all.
    answer.alias_secure = hops > 0 && answer.secure;
    if (const auto found = records_.find({answer.name, type}); found != records_.end()) {
      answer.status = DnsStatus::ok;
      answer.records = found->second;
      return answer;
    }
    const std::string* alias = alias_of(answer.name, type);
    if (alias == nullptr || type == RecordType::cname) {
      answer.status = exists(answer.name) ? DnsStatus::no_data : DnsStatus::nx_domain;
      return answer;
    }
    if (hops == kMaxCnameHops) {
      answer.status = DnsStatus::cname_limit;
      answer.secure = answer.alias_secure = false;
      return answer;
    }
    answer.secure = answer.secure && is_secure(answer.name, RecordType::cname);
    answer.name = *alias;
  }
}

bool ZoneResolver::is_secure(const std::string& name, RecordType type) const {
  if (const auto own = secure_.find({name, type}); own != secure_.end()) return own->second;
  return std::any_of(signed_.begin(), signed_.end(),
                     [&](const std::string& domain) { return is_below(name, domain); });
}

bool ZoneResolver::exists(const std::string& name) const {
  return std::any_of(records_.begin(), records_.end(),
                     [&](const auto& entry) { return is_below(entry.first.first, name); });
}

const std::string* ZoneResolver::alias_of(const std::string& name, RecordType type) const {
  if (const auto own = typed_aliases_.find({name, type}); own != typed_aliases_.end()) return &own->second;
  const auto all = records_.find({name, RecordType::cname});
  return all == records_.end() ? nullptr : &std::get<std::string>(all->second.front());
}

std::optional<DnsStatus> ZoneResolver::failure(const std::string& name, RecordType type) const {
  if (const auto own = failures_.find({name, type}); own != failures_.end()) return own->second;
  if (const auto all = name_failures_.find(name); all != name_failures_.end()) return all->second;
  return std::nullopt;
}

void ZoneResolver::address(const std::string& name, const std::string& ip) {
  const auto bytes = parse_ip(ip);
  if (!bytes) throw std::invalid_argument("not an address: " + ip);
  add(name, is_v4(*bytes) ? RecordType::a : RecordType::aaaa, *bytes);
}

void ZoneResolver::mx(const std::string& name, std::uint16_t preference, const std::string& exchange) {
  MxRecord record;
  record.preference = preference;
  record.exchange = canonical(exchange);
  add(name, RecordType::mx, record);
}

void ZoneResolver::txt(const std::string& name, const std::string& text) { add(name, RecordType::txt, text); }
void ZoneResolver::tlsa(const std::string& name, TlsaRecord record) {
  add(name, RecordType::tlsa, std::move(record));
}
void ZoneResolver::ptr(const std::string& name, const std::string& target) {
  add(name, RecordType::ptr, canonical(target));
}

void ZoneResolver::cname(const std::string& name, const std::string& target) {
  add(name, RecordType::cname, canonical(target));
}

void ZoneResolver::cname(const std::string& name, const std::string& target, RecordType asked) {
  std::lock_guard lock(mutex_);
  typed_aliases_[{canonical(name), asked}] = canonical(target);
}

void ZoneResolver::add(const std::string& name, RecordType type, RecordData data) {
  std::lock_guard lock(mutex_);
  records_[{canonical(name), type}].push_back(std::move(data));
}

void ZoneResolver::remove(const std::string& name, RecordType type) {
  std::lock_guard lock(mutex_);
  records_.erase({canonical(name), type});
  failures_.erase({canonical(name), type});
}

void ZoneResolver::sign(const std::string& domain) {
  std::lock_guard lock(mutex_);
  signed_.insert(canonical(domain));
}

void ZoneResolver::set_secure(const std::string& name, RecordType type, bool secure) {
  std::lock_guard lock(mutex_);
  secure_[{canonical(name), type}] = secure;
}

void ZoneResolver::fail(const std::string& name, RecordType type, DnsStatus status) {
  std::lock_guard lock(mutex_);
  failures_[{canonical(name), type}] = status;
}

void ZoneResolver::fail(const std::string& name, DnsStatus status) {
  std::lock_guard lock(mutex_);
  name_failures_[canonical(name)] = status;
}

void ZoneResolver::heal(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto healed = canonical(name);
  name_failures_.erase(healed);
  std::erase_if(failures_, [&](const auto& entry) { return entry.first.first == healed; });
}

void ZoneResolver::set_ttl(std::chrono::seconds ttl) {
  std::lock_guard lock(mutex_);
  ttl_ = ttl;
}

void ZoneResolver::on_query(std::function<asio::awaitable<void>(std::string, RecordType)> hook) {
  std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

std::vector<std::pair<std::string, RecordType>> ZoneResolver::queries() const {
  std::lock_guard lock(mutex_);
  return queries_;
}

std::size_t ZoneResolver::count(const std::string& name, RecordType type) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count(queries_.begin(), queries_.end(), Key{name, type}));
}

}  // namespace holdfast
