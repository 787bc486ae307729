// tests/smtp/tls/tls_pair.h — a client and a server of ours meet over a pair of streams in memory.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "smtp/tls/tls_stream.h"
#include "tests/fakes/certificates.h"
#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"

typedef struct ssl_st SSL;

namespace holdfast {

inline DomainName dn(const std::string& text) { return *DomainName::parse(text); }

struct Meeting {
  TlsHandshake client, server;
  bool met() const { return client.stream != nullptr && server.stream != nullptr; }
};

using ServerContext = std::shared_ptr<const TlsServerContext>;
using ClientContexts = std::shared_ptr<const TlsClientContexts>;

inline ServerContext server_with(const TestCertificate& certificate, TlsVersion least = TlsVersion::none) {
  return *TlsServerContext::from_pem(certificate.chain_pem, certificate.key_pem, least);
}

// One per test: executors, a clock, and the trust in one authority.
class TlsWorld {
 public:
  TlsWorld() : roots_(authority().root.pem), contexts(*TlsClientContexts::create(roots_.path())) {}

  static const TestAuthority& authority() {
    static const TestAuthority made;
    return made;
  }

  // The streams pass through `wrap` before they meet TLS, when given.
  using Wrap = std::function<std::unique_ptr<Stream>(std::unique_ptr<Stream>)>;
  Meeting meet(const TlsRequirement& requirement, ServerContext server, Wrap wrap_client = {},
               Wrap wrap_server = {}, std::vector<std::string> alpn = {}) {
    auto pair = make_stream_pair(context.get_executor(), clock);
    if (wrap_client) pair.client = wrap_client(std::move(pair.client));
    if (wrap_server) pair.server = wrap_server(std::move(pair.server));
    auto accepted = detail::start(context, tls_accept(std::move(pair.server), std::move(server)));
    TlsClientOptions options;
    options.requirement = requirement;
    options.alpn = std::move(alpn);
    Meeting meeting;
    meeting.client = run(context, clock, tls_connect(std::move(pair.client), contexts, std::move(options)));
    settle(context);
    if (accepted->done) meeting.server = detail::finish(*accepted);
    return meeting;
  }

  FakeClock clock;
  boost::asio::io_context context;

 private:
  TemporaryFile roots_;

 public:
  ClientContexts contexts;
};

inline TlsRequirement verified_by_pkix(const std::string& host) {
  TlsRequirement wanted;
  wanted.level = TlsLevel::authenticated;
  wanted.server_name = dn(host);
  wanted.pkix.emplace();
  wanted.pkix->name = dn(host);
  return wanted;
}

inline DaneRequirement dane_for(const std::string& base, std::vector<TlsaRecord> records) {
  DaneRequirement dane;
  dane.base_domain = dn(base);
  dane.names = {dane.base_domain};
  dane.records = std::move(records);
  return dane;
}

inline TlsRequirement verified_by_dane(const std::string& base, std::vector<TlsaRecord> records) {
  TlsRequirement wanted;
  wanted.level = TlsLevel::authenticated;
  wanted.server_name = dn(base);
  wanted.dane = dane_for(base, std::move(records));
  return wanted;
}

}  // namespace holdfast
