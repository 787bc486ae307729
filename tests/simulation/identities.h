// tests/simulation/identities.h — certificates of the world's hosts, made once per process: making them for
// each seed would cost more than the seed.
#pragma once

#include <memory>
#include <string>

#include "smtp/tls/tls_context.h"
#include "tests/fakes/certificates.h"

namespace holdfast::simulation {

enum class Shown {
  good,        // of the trusted authority, for the host's name
  wrong_name,  // of the trusted authority, for another name
  untrusted,   // for the host's name, of an authority that nobody knows
};
const char* name(Shown shown);

struct HostIdentity {
  TestCertificate certificate;
  std::shared_ptr<const TlsServerContext> context;
};

// `key` tells several certificates of a host apart.
const HostIdentity& identity_of(const std::string& host, Shown shown, int key = 0);
// What trusts the good ones.
std::shared_ptr<const TlsClientContexts> trusted_roots();

}  // namespace holdfast::simulation
