#include "smtp/tls/tls_context.h"

#include <gtest/gtest.h>

#include "tests/smtp/tls/tls_pair.h"

namespace holdfast {
namespace {

TEST(ClientContexts, NameTheFileThatCannotBeUsed) {
  const auto missing = TlsClientContexts::create("/nonexistent/roots.pem");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().detail.find("/nonexistent/roots.pem"), std::string::npos);
  const TemporaryFile empty(""), garbage("no certificate at all");
  for (const auto* file : {&empty, &garbage}) {
    const auto made = TlsClientContexts::create(file->path());
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().detail.find(file->path().string()), std::string::npos);
  }
}

TEST(ClientContexts, TakeTheSystemsRootsWithoutAFile) { EXPECT_TRUE(TlsClientContexts::create("")); }

TEST(ServerContext, TellsWhenItsCertificateExpires) {
  CertificateSpec spec;
  spec.valid_to = std::chrono::hours(48);
  const auto made = server_with(make_self_signed_certificate(spec));
  const auto left = made->not_after() - std::chrono::system_clock::now();
  EXPECT_GT(left, std::chrono::hours(47));
  EXPECT_LT(left, std::chrono::hours(49));
}

TEST(ServerContext, RefusesAKeyThatDoesNotFit) {
  const auto one = TlsWorld::authority().leaf_for("a.example"),
             other = TlsWorld::authority().leaf_for("a.example");
  EXPECT_FALSE(TlsServerContext::from_pem(one.chain_pem, other.key_pem, TlsVersion::tls12));
}

TEST(ServerContext, RefusesDamagedText) {
  const auto leaf = TlsWorld::authority().leaf_for("a.example");
  EXPECT_FALSE(TlsServerContext::from_pem("", leaf.key_pem, TlsVersion::tls12));
  EXPECT_FALSE(TlsServerContext::from_pem(leaf.chain_pem, "", TlsVersion::tls12));
  auto damaged = leaf.chain_pem;
  damaged[damaged.size() - 100] = '*';  // in the second certificate
  EXPECT_FALSE(TlsServerContext::from_pem(damaged, leaf.key_pem, TlsVersion::tls12));
}

TEST(ServerContext, NamesTheFilesThatCannotBeUsed) {
  const TemporaryFile key("no key");
  const auto made = TlsServerContext::create("/nonexistent/cert.pem", key.path(), TlsVersion::tls12);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().detail.find("/nonexistent/cert.pem"), std::string::npos);
}

TEST(ServerContext, IsMadeFromFiles) {
  const auto leaf = TlsWorld::authority().leaf_for("a.example");
  const TemporaryFile certificate(leaf.chain_pem), key(leaf.key_pem);
  EXPECT_TRUE(TlsServerContext::create(certificate.path(), key.path(), TlsVersion::tls13));
}

TEST(SelfSigned, ServesAndNamesTheHost) {
  const auto made = make_self_signed(
      "relay.example.com",
      std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()));
  ASSERT_TRUE(made);
  TlsWorld world;
  TlsRequirement wanted;
  auto meeting = world.meet(
      wanted, *TlsServerContext::from_pem(made->certificate_pem, made->private_key_pem, TlsVersion::tls12));
  ASSERT_TRUE(meeting.met());
  const auto& leaf = meeting.client.stream->evidence().chain.at(0);
  EXPECT_EQ(leaf.names, std::vector<std::string>{"relay.example.com"});
  EXPECT_EQ(leaf.key, "EC P-256");
  EXPECT_GT(leaf.not_after - leaf.not_before, std::chrono::hours(24 * 3649));
}

TEST(SelfSigned, TakesNoExtensionsFromAHostName) {
  const auto made = make_self_signed("a.example,DNS:b.example", WallTime(std::chrono::hours(24 * 365 * 56)));
  ASSERT_TRUE(made);
  TlsWorld world;
  auto meeting = world.meet(
      TlsRequirement(),
      *TlsServerContext::from_pem(made->certificate_pem, made->private_key_pem, TlsVersion::tls12));
  ASSERT_TRUE(meeting.met());
  EXPECT_EQ(meeting.client.stream->evidence().chain.at(0).names.size(), 1u);
}

}  // namespace
}  // namespace holdfast
