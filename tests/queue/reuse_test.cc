// Which connection may serve which message: an 8×8 table of (session made under requirement X, the next
// message needs Y), each cell with a real handshake and the real pool. What Y asks and X did not prove makes
// a new connection, with a full handshake of its own: nothing is reused and nothing resumed.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "queue/delivery_connect.h"
#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

constexpr std::size_t kKinds = 8;
constexpr const char* kNames[kKinds] = {"Clear", "Encrypted",   "Tls13",      "Pkix",
                                        "Dane",  "PkixAndDane", "Requiretls", "Testing"};

// Rows: the session was made under this. Columns, in the same order: the next message needs this.
constexpr bool kMayServe[kKinds][kKinds] = {
    {1, 0, 0, 0, 0, 0, 0, 1},  // Clear: a server without TLS
    {1, 1, 0, 0, 0, 0, 0, 1},  // Encrypted, TLS 1.2
    {1, 1, 1, 0, 0, 0, 0, 1},  // Tls13, unauthenticated
    {1, 1, 0, 1, 0, 0, 0, 1},  // Pkix
    {1, 1, 0, 0, 1, 0, 0, 1},  // Dane
    {1, 1, 0, 1, 1, 1, 0, 1},  // PkixAndDane
    {1, 1, 0, 1, 0, 0, 1, 1},  // Requiretls: Pkix, and offered after TLS
    {1, 1, 0, 0, 0, 0, 0, 1},  // Testing: watched and found sound, but in a handshake that allowed weak keys
};

const TestCertificate& leaf() {
  static const TestCertificate made = test_authority().leaf_for("mx.example");
  return made;
}

std::shared_ptr<const TlsServerContext> server_context(int most) {
  auto context = TlsServerContext::from_pem(leaf().chain_pem, leaf().key_pem, TlsVersion::tls12).value();
  SSL_CTX_set_max_proto_version(context->get(), most);
  return context;
}

TlsRequirement requirement(std::size_t kind) {
  const DomainName name = DomainName::parse("mx.example").value();
  PkixRequirement pkix;
  pkix.name = name;
  DaneRequirement dane;
  dane.base_domain = name;
  dane.names = {name};
  dane.records = {leaf().tlsa(3, 1, 1)};
  TlsRequirement need;
  need.server_name = name;
  need.level = TlsLevel::authenticated;
  need.min_version = TlsVersion::tls12;
  switch (kind) {
    case 0:
    case 7:
      need.level = TlsLevel::opportunistic;
      need.min_version = TlsVersion::none;
      need.cleartext_allowed = true;
      if (kind == 7) need.watch_pkix = pkix;
      break;
    case 1: need.level = TlsLevel::encrypted; break;
    case 2:
      need.level = TlsLevel::encrypted;
      need.min_version = TlsVersion::tls13;
      break;
    case 3: need.pkix = pkix; break;
    case 4: need.dane = dane; break;
    case 5:
      need.pkix = pkix;
      need.dane = dane;
      break;
    default:
      need.pkix = pkix;
      need.requiretls = true;
      break;
  }
  return need;
}

class Reuse : public testing::TestWithParam<int> {
 protected:
  Reuse() {
    mx_.extensions = {"PIPELINING"};
    connector_.servers["192.0.2.1"] = &mx_;
  }

  void serve(std::size_t kind) {
    mx_.tls = kind == 0 ? nullptr : server_context(kind == 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
    mx_.tls_extensions.clear();
    if (kind == 6) mx_.tls_extensions = {"REQUIRETLS"};
  }

  std::unique_ptr<Connection> open(std::size_t kind) {
    static const TemporaryFile roots(test_authority().root.pem);
    static const auto contexts = TlsClientContexts::create(roots.path()).value();
    OpenRequest request;
    request.key.mx = "mx.example";
    request.key.ip = *parse_ip("192.0.2.1");
    request.key.port = 25;
    request.key.server_name = "mx.example";
    request.our_name = "relay.example";
    request.requirement = requirement(kind);
    request.contexts = contexts;
    OpenResult opened = run(context_, clock_, open_connection(connector_, clock_, std::move(request)));
    return std::move(opened.connection);
  }

  TestMx mx_;  // outlives its sessions
  boost::asio::io_context context_;
  FakeClock clock_;
  ConnectionBudget budget_;
  TestConnector connector_{context_.get_executor(), clock_};
};

TEST_P(Reuse, OnlyOfWhatWasProved) {
  const auto made = static_cast<std::size_t>(GetParam()) / kKinds;
  const auto needed = static_cast<std::size_t>(GetParam()) % kKinds;
  ConnectionPool pool(context_.get_executor(), clock_, budget_,
                      [](const std::string& what) { FAIL() << what; });
  serve(made);
  auto connection = open(made);
  ASSERT_TRUE(connection) << "the server meets what the session is made under";
  const ConnectionKey key = connection->key;
  EXPECT_EQ(satisfies(connection->session->evidence(), requirement(needed)), kMayServe[made][needed]);
  pool.put(std::move(connection), std::chrono::minutes(1), 0);
  ASSERT_EQ(pool.size(), 1U);

  const auto taken = pool.take(key, requirement(needed));
  EXPECT_EQ(taken != nullptr, kMayServe[made][needed]);
  if (!taken) {
    EXPECT_EQ(pool.size(), 1U) << "it stays for those whom it may serve";
    serve(needed);
    const unsigned before = mx_.handshakes;
    const auto fresh = open(needed);
    ASSERT_TRUE(fresh);
    EXPECT_EQ(mx_.handshakes, before + 1);
    EXPECT_FALSE(fresh->session->evidence().resumed);
    EXPECT_TRUE(satisfies(fresh->session->evidence(), requirement(needed)));
  }
  run(context_, clock_, pool.stop());
}

INSTANTIATE_TEST_SUITE_P(Table, Reuse, testing::Range(0, static_cast<int>(kKinds* kKinds)),
                         [](const auto& cell) {
                           const auto at = static_cast<std::size_t>(cell.param);
                           return std::string(kNames[at / kKinds]) + "Then" + kNames[at % kKinds];
                         });

}  // namespace
}  // namespace holdfast
