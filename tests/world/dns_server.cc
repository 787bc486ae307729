#include "tests/world/dns_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>

namespace holdfast::world {
namespace {

constexpr int kMaxCnames = 16;  // a loop ends as SERVFAIL, like in a real resolver

std::string parent_of(const std::string& name) {
  const auto dot = name.find('.');
  return dot == std::string::npos ? "" : name.substr(dot + 1);
}

// Reads exactly `size` bytes; false when the peer went before.
bool read_all(Wire& wire, char* data, std::size_t size) {
  for (std::size_t got = 0; got < size;) {
    const std::size_t n = wire.read(data + got, size - got);
    if (n == 0) return false;
    got += n;
  }
  return true;
}

}  // namespace

DnsServer::DnsServer() : wake_(::eventfd(0, EFD_CLOEXEC)) {
  // One port for both: the system picks it for TCP, and another is tried when UDP has it taken.
  for (int attempt = 0; !tcp_; ++attempt) {
    auto tcp = std::make_unique<Listener>(Endpoint{"127.0.0.1", 0}, [this](Wire& wire) { serve_tcp(wire); });
    try {
      udp_ = bind_udp(tcp->endpoint());
      tcp_ = std::move(tcp);
    } catch (const std::system_error&) {
      if (attempt == 50) throw;
    }
  }
  endpoint_ = tcp_->endpoint();
  udp_thread_ = std::thread([this] { serve_udp(); });
}

DnsServer::~DnsServer() {
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) != static_cast<ssize_t>(sizeof one)) std::abort();
  udp_thread_.join();
}

void DnsServer::add(const std::string& name, const std::string& type, const std::string& value) {
  const auto number = dns_type(type);
  auto data = rdata(number, value);
  const std::lock_guard lock(mutex_);
  records_[{lower_name(name), number}].push_back(std::move(data));
}

void DnsServer::add_txt(const std::string& name, const std::vector<std::string>& strings) {
  const std::lock_guard lock(mutex_);
  records_[{lower_name(name), kTxt}].push_back(txt_rdata(strings));
}

void DnsServer::remove(const std::string& name, const std::string& type) {
  const std::lock_guard lock(mutex_);
  records_.erase({lower_name(name), dns_type(type)});
}

void DnsServer::replace(const std::string& name, const std::string& type, const std::string& value) {
  const auto number = dns_type(type);
  auto data = rdata(number, value);
  const std::lock_guard lock(mutex_);
  records_[{lower_name(name), number}] = {std::move(data)};
}

void DnsServer::set_secure(const std::string& name, bool secure) {
  const std::lock_guard lock(mutex_);
  secure_[lower_name(name)] = secure;
}

void DnsServer::set_fault(const std::string& name, const std::string& type, DnsFault fault) {
  const std::lock_guard lock(mutex_);
  faults_[{lower_name(name), type == "*" ? std::uint16_t{0} : dns_type(type)}] = fault;
}

void DnsServer::set_ttl(std::uint32_t seconds) {
  const std::lock_guard lock(mutex_);
  ttl_ = seconds;
}

void DnsServer::set_negative_ttl(std::uint32_t seconds) {
  const std::lock_guard lock(mutex_);
  negative_ttl_ = seconds;
}

std::size_t DnsServer::queries() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

std::size_t DnsServer::tcp_queries() const {
  const std::lock_guard lock(mutex_);
  return tcp_total_;
}

std::size_t DnsServer::queries(const std::string& name, const std::string& type) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find({lower_name(name), dns_type(type)});
  return found == counts_.end() ? 0 : found->second;
}

bool DnsServer::is_secure(const std::string& name) const {
  for (std::string at = name;; at = parent_of(at)) {
    const auto found = secure_.find(at);
    if (found != secure_.end()) return found->second;
    if (at.empty()) return false;
  }
}

// A name exists when it has records or stands above one that has (RFC 8020).
bool DnsServer::exists(const std::string& name) const {
  const std::string suffix = "." + name;
  for (const auto& [key, values] : records_) {
    if (!values.empty() && (key.first == name || key.first.ends_with(suffix))) return true;
  }
  return false;
}

DnsAnswer DnsServer::look_up(const std::string& name, std::uint16_t type) const {
  DnsAnswer answer;
  answer.authentic = true;
  std::string at = name;
  for (int hops = 0;; ++hops) {
    if (hops == kMaxCnames) return {.rcode = Rcode::servfail};
    answer.authentic = answer.authentic && is_secure(at);
    const auto found = records_.find({at, type});
    if (found != records_.end() && !found->second.empty()) {
      for (const auto& data : found->second) answer.answers.push_back({at, type, ttl_, data});
      return answer;
    }
    const auto alias = records_.find({at, kCname});
    if (alias == records_.end() || alias->second.empty()) break;
    const std::string& target = alias->second.front();
    answer.answers.push_back({at, kCname, ttl_, target});
    at.clear();
    for (std::size_t i = 0; target[i] != '\0'; i += 1u + static_cast<unsigned char>(target[i])) {
      if (!at.empty()) at += '.';
      at += target.substr(i + 1, static_cast<unsigned char>(target[i]));
    }
  }
  if (!exists(at)) answer.rcode = Rcode::nxdomain;
  const auto dot = at.rfind('.');
  const std::string zone = dot == std::string::npos ? at : at.substr(dot + 1);
  const std::string numbers = " 1 3600 600 86400 " + std::to_string(negative_ttl_);
  answer.authority.push_back(
      {zone, kSoa, negative_ttl_, rdata(kSoa, "ns." + zone + " hostmaster." + zone + numbers)});
  return answer;
}

std::optional<std::string> DnsServer::answer(std::string_view message, bool tcp) {
  const auto query = parse_query(message);
  if (!query) return std::nullopt;
  const std::lock_guard lock(mutex_);
  ++total_;
  if (tcp) ++tcp_total_;
  ++counts_[{query->name, query->type}];
  auto fault = DnsFault::none;
  for (const std::uint16_t type : {std::uint16_t{0}, query->type}) {
    const auto found = faults_.find({query->name, type});
    if (found != faults_.end() && found->second != DnsFault::none) fault = found->second;
  }
  switch (fault) {
    case DnsFault::timeout: return std::nullopt;
    case DnsFault::garbage: return "\x01\x02\x03";
    case DnsFault::servfail: return encode(*query, {.rcode = Rcode::servfail});
    case DnsFault::refused: return encode(*query, {.rcode = Rcode::refused});
    case DnsFault::nxdomain: return encode(*query, {.rcode = Rcode::nxdomain});
    case DnsFault::truncate:
      if (!tcp) return encode(*query, {.truncated = true});
      break;
    case DnsFault::none: break;
  }
  auto full = encode(*query, look_up(query->name, query->type));
  if (!tcp && full.size() > query->payload) return encode(*query, {.truncated = true});
  return full;
}

void DnsServer::serve_udp() {
  for (;;) {
    pollfd fds[2] = {{udp_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    char buffer[4096];
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    const ssize_t n =
        ::recvfrom(udp_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (n <= 0) continue;
    const auto reply = answer({buffer, static_cast<std::size_t>(n)}, false);
    // A client that is gone by now is no error.
    if (reply)
      ::sendto(udp_.get(), reply->data(), reply->size(), 0, reinterpret_cast<sockaddr*>(&from), from_size);
  }
}

void DnsServer::serve_tcp(Wire& wire) {
  char size[2];
  while (read_all(wire, size, 2)) {
    std::string message(static_cast<std::size_t>(static_cast<unsigned char>(size[0]) << 8 |
                                                 static_cast<unsigned char>(size[1])),
                        '\0');
    if (!read_all(wire, message.data(), message.size())) return;
    const auto reply = answer(message, true);
    if (!reply) {
      wire.wait_for_end(Milliseconds(60000));
      return;
    }
    std::string framed;
    framed += static_cast<char>(reply->size() >> 8);
    framed += static_cast<char>(reply->size() & 0xff);
    if (!wire.write(framed + *reply)) return;
  }
}

}  // namespace holdfast::world
