#include "tests/simulation/identities.h"

#include <map>
#include <tuple>

namespace holdfast::simulation {
namespace {

const TestAuthority& trusted() {
  static const TestAuthority authority("simulated world");
  return authority;
}

HostIdentity make(const std::string& host, Shown shown) {
  static const TestAuthority unknown("nobody knows");
  const TestAuthority& authority = shown == Shown::untrusted ? unknown : trusted();
  HostIdentity identity;
  identity.certificate = authority.leaf_for(shown == Shown::wrong_name ? "other.invalid" : host);
  identity.context = TlsServerContext::from_pem(identity.certificate.chain_pem, identity.certificate.key_pem,
                                                TlsVersion::tls12)
                         .value();
  return identity;
}

}  // namespace

const char* name(Shown shown) {
  switch (shown) {
    case Shown::good: return "good";
    case Shown::wrong_name: return "wrong-name";
    case Shown::untrusted: return "untrusted";
  }
  return "";
}

const HostIdentity& identity_of(const std::string& host, Shown shown, int key) {
  static std::map<std::tuple<std::string, Shown, int>, HostIdentity> made;
  const auto place = std::make_tuple(host, shown, key);
  auto found = made.find(place);
  if (found == made.end()) found = made.emplace(place, make(host, shown)).first;
  return found->second;
}

std::shared_ptr<const TlsClientContexts> trusted_roots() {
  static const TemporaryFile file(trusted().root.pem);
  static const auto contexts = TlsClientContexts::create(file.path()).value();
  return contexts;
}

}  // namespace holdfast::simulation
