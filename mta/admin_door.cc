#include "mta/admin_door.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "config/network.h"
#include "smtp/wire/ascii.h"
#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool is_bearer(std::string_view authorization, const std::string& token) {
  constexpr std::string_view kBearer = "Bearer ";
  return !token.empty() && authorization.starts_with(kBearer) &&
         equal_in_constant_time(authorization.substr(kBearer.size()), token);
}

bool is_password(std::string_view authorization, const std::string& token) {
  constexpr std::string_view kBasic = "Basic ";
  if (token.empty() || !authorization.starts_with(kBasic)) return false;
  const auto pair = base64_decode(authorization.substr(kBasic.size()));
  const auto colon = pair ? pair->find(':') : std::string::npos;
  return colon != std::string::npos &&
         equal_in_constant_time(std::string_view(*pair).substr(colon + 1), token);
}

bool is_port(std::string_view text) {
  return text.empty() || (text.front() == ':' && std::all_of(text.begin() + 1, text.end(),
                                                             [](char c) { return c >= '0' && c <= '9'; }));
}

}  // namespace

bool names_loopback(std::string_view host) {
  static const Network v4 = *Network::parse("127.0.0.0/8"), v6 = *Network::parse("::1");
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos || !is_port(host.substr(end + 1))) return false;
    const auto ip = parse_ip(host.substr(1, end - 1));
    return ip && v6.contains(*ip);
  }
  const std::string_view name = host.substr(0, host.find(':'));
  if (!is_port(host.substr(name.size()))) return false;
  if (equal_ignoring_case(name, "localhost")) return true;
  const auto ip = parse_ip(name);
  return ip && v4.contains(*ip);
}

std::string AdminDoor::token() const {
  const std::lock_guard lock(mutex_);
  return token_;
}

void AdminDoor::use_token(std::string token) {
  const std::lock_guard lock(mutex_);
  token_ = std::move(token);
}

AdminDoor::Verdict AdminDoor::judge(const Caller& caller) const {
  Verdict verdict;
  const std::string token = this->token();
  verdict.trusted = kind_ == Kind::unix_socket || is_bearer(caller.authorization, token);
  verdict.showed_token = is_bearer(caller.authorization, token) || is_password(caller.authorization, token);
  if (verdict.trusted) return verdict;
  if (caller.changes) {
    verdict.status = 401;
    verdict.why = "changes over TCP need the bearer token of admin.token_file; or use the socket";
  } else if (verdict.showed_token || (caller.near && names_loopback(caller.host))) {
    return verdict;
  } else if (caller.near) {
    verdict.status = 403;
    verdict.why = "this Host may be used only with the bearer token of admin.token_file";
  } else {
    verdict.status = 401;
    verdict.why = "from beyond loopback, this may be read only with the token of admin.token_file";
    verdict.asks_for_password = true;
  }
  return verdict;
}

AdminDoor::Place::Place(AdminDoor& door, std::function<void()> give_way)
    : door_(door), give_way_(std::move(give_way)), at_(door.places_.insert(door.places_.end(), this)) {}
AdminDoor::Place::~Place() { door_.places_.erase(at_); }

bool AdminDoor::make_room() {
  const auto staying =
      std::count_if(places_.begin(), places_.end(), [](const Place* p) { return !p->leaves_; });
  if (static_cast<std::size_t>(staying) < kMaxAdminConnections) return true;
  Place* longest = nullptr;
  for (Place* place : places_) {
    if (place->leaves_ || place->showed_token_ || !place->waits_since_) continue;
    if (longest == nullptr || *place->waits_since_ < *longest->waits_since_) longest = place;
  }
  if (longest == nullptr) return false;
  longest->leaves_ = true;
  longest->give_way_();
  return true;
}

}  // namespace holdfast
