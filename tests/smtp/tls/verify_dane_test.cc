// DANE: TLSA records of each form (RFC 7671).
#include <gtest/gtest.h>

#include <chrono>

#include "tests/smtp/tls/verify_chain.h"

namespace holdfast::verifying {
namespace {

using std::chrono::hours;

class DaneForms : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  int selector() const { return std::get<0>(GetParam()); }
  int matching() const { return std::get<1>(GetParam()); }
  std::string form(int usage, int depth) const {
    return std::to_string(usage) + " " + std::to_string(selector()) + " " + std::to_string(matching()) +
           " at depth " + std::to_string(depth);
  }
};
INSTANTIATE_TEST_SUITE_P(All, DaneForms, testing::Combine(testing::Values(0, 1), testing::Values(0, 1, 2)));

TEST_P(DaneForms, EndEntityMatchesTheLeaf) {
  const auto leaf = authority().leaf_for("mx.example.com");
  const auto verdict = dane(leaf.chain_pem, {leaf.tlsa(3, selector(), matching())});
  EXPECT_FALSE(verdict.failure) << verdict.failure.detail;
  EXPECT_EQ(verdict.match, form(3, 0));
}

TEST_P(DaneForms, EndEntityOfAnotherLeafDoesNotMatch) {
  const auto leaf = authority().leaf_for("mx.example.com");
  const auto other = authority().leaf_for("mx.example.com");
  const auto failure = dane(leaf.chain_pem, {other.tlsa(3, selector(), matching())}).failure;
  EXPECT_EQ(failure.error, TlsError::tlsa_mismatch);
  EXPECT_EQ(failure.code, "X509_V_ERR_DANE_NO_MATCH");
}

TEST_P(DaneForms, TrustAnchorMatchesTheIntermediateThatWasSent) {
  const auto leaf = authority().leaf_for("mx.example.com");
  const auto verdict = dane(leaf.chain_pem, {authority().intermediate.tlsa(2, selector(), matching())});
  EXPECT_FALSE(verdict.failure) << verdict.failure.detail;
  EXPECT_EQ(verdict.match, form(2, 1));
}

TEST_P(DaneForms, TrustAnchorMatchesARootThatWasSent) {
  const TestAuthority unknown("Unknown");
  const auto leaf = unknown.leaf_for("mx.example.com");
  const auto verdict =
      dane(leaf.chain_pem + unknown.root.pem, {unknown.root.tlsa(2, selector(), matching())});
  EXPECT_FALSE(verdict.failure) << verdict.failure.detail;
  EXPECT_EQ(verdict.match, form(2, 2));
}

// A digest cannot be followed to a certificate that is not there (RFC 7671 section 5.2.1); a full one brings
// it.
TEST_P(DaneForms, TrustAnchorThatWasNotSentCountsOnlyInFull) {
  const auto leaf = authority().leaf_for("mx.example.com");
  const auto failure = dane(leaf.chain_pem, {authority().root.tlsa(2, selector(), matching())}).failure;
  EXPECT_EQ(failure.error, matching() == 0 ? TlsError::none : TlsError::tlsa_mismatch) << failure.detail;
}

TEST_P(DaneForms, TrustAnchorNeverMatchesTheLeafItself) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  const auto alone = make_self_signed_certificate(spec);
  if (matching() == 0) return;  // a full record brings its own anchor, which then signs the leaf
  EXPECT_EQ(dane(alone.pem, {alone.tlsa(2, selector(), matching())}).failure.error, TlsError::tlsa_mismatch);
}

TEST(Dane, EndEntityAsksNeitherNameNorDate) {
  CertificateSpec spec;
  spec.dns = {"elsewhere.example"};
  spec.valid_from = hours(-48);
  spec.valid_to = hours(-24);
  const auto old = make_self_signed_certificate(spec);
  EXPECT_FALSE(dane(old.pem, {old.tlsa(3, 1, 1)}).failure);
}

TEST(Dane, TrustAnchorAsksForTheName) {
  const auto ta = authority().intermediate.tlsa(2, 0, 1);
  const auto leaf = authority().leaf_for("other.example.com");
  EXPECT_EQ(dane(leaf.chain_pem, {ta}).failure.error, TlsError::host_mismatch);
  EXPECT_FALSE(dane(leaf.chain_pem, {ta}, "mx.example.com", "other.example.com").failure);
  EXPECT_FALSE(dane(leaf.chain_pem, {ta}, "other.example.com").failure);
}

TEST(Dane, TrustAnchorTakesNoCommonName) {
  CertificateSpec spec;
  spec.common_name = "mx.example.com";
  const auto leaf = authority().leaf(spec);
  EXPECT_EQ(dane(leaf.chain_pem, {authority().intermediate.tlsa(2, 0, 1)}).failure.error,
            TlsError::host_mismatch);
}

TEST(Dane, TrustAnchorAsksForTheDate) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  spec.valid_from = hours(-48);
  spec.valid_to = hours(-24);
  const auto leaf = authority().leaf(spec);
  EXPECT_EQ(dane(leaf.chain_pem, {authority().intermediate.tlsa(2, 0, 1)}).failure.error, TlsError::expired);
}

TEST(Dane, TrustAnchorMustHaveSignedTheLeaf) {
  const TestAuthority other("Other");
  const auto leaf = authority().leaf_for("mx.example.com");
  // Sent along, but not on the way from the leaf to anywhere.
  EXPECT_EQ(dane(leaf.chain_pem + other.root.pem, {other.root.tlsa(2, 0, 1)}).failure.error,
            TlsError::tlsa_mismatch);
}

TEST(Dane, UsagesOfPkixNeverCount) {
  const auto leaf = authority().leaf_for("mx.example.com");
  for (int matching : {0, 1, 2}) {
    EXPECT_EQ(dane(leaf.chain_pem, {leaf.tlsa(1, 1, matching)}).failure.error, TlsError::tlsa_unusable);
    EXPECT_EQ(dane(leaf.chain_pem, {authority().root.tlsa(0, 0, matching)}).failure.error,
              TlsError::tlsa_unusable);
  }
  // Beside a usable record they are passed over, whether that one matches or not.
  EXPECT_FALSE(dane(leaf.chain_pem, {leaf.tlsa(1, 1, 1), leaf.tlsa(3, 1, 1)}).failure);
  const auto other = authority().leaf_for("mx.example.com");
  EXPECT_EQ(dane(leaf.chain_pem, {leaf.tlsa(1, 1, 1), other.tlsa(3, 1, 1)}).failure.error,
            TlsError::tlsa_mismatch);
}

TEST(Dane, OneMatchOfSeveralIsEnough) {
  const auto leaf = authority().leaf_for("mx.example.com");
  const auto next = authority().leaf_for("mx.example.com");
  EXPECT_EQ(dane(leaf.chain_pem, {next.tlsa(3, 1, 1), leaf.tlsa(3, 1, 1)}).match, "3 1 1 at depth 0");
}

TEST(Dane, TrustedRootsHaveNoSay) {
  const auto leaf = authority().leaf_for("mx.example.com");
  ASSERT_FALSE(pkix(leaf.chain_pem, "mx.example.com").failure);
  const TestAuthority other("Other");
  EXPECT_EQ(dane(leaf.chain_pem, {other.root.tlsa(2, 0, 1)}).failure.error, TlsError::tlsa_mismatch);
}

TEST(Dane, MalformedRecordsAreUnusable) {
  const auto leaf = authority().leaf_for("mx.example.com");
  const auto unusable = [](int usage, int selector, int matching, std::string data) {
    TlsaRecord record;
    record.usage = static_cast<std::uint8_t>(usage);
    record.selector = static_cast<std::uint8_t>(selector);
    record.matching_type = static_cast<std::uint8_t>(matching);
    record.data = std::move(data);
    return !is_usable(contexts(), record);
  };
  EXPECT_TRUE(is_usable(contexts(), leaf.tlsa(3, 1, 1)));
  EXPECT_TRUE(is_usable(contexts(), leaf.tlsa(2, 0, 0)));
  EXPECT_TRUE(unusable(3, 1, 1, std::string(31, 'x')));
  EXPECT_TRUE(unusable(3, 1, 2, std::string(32, 'x')));
  EXPECT_TRUE(unusable(3, 1, 1, ""));
  EXPECT_TRUE(unusable(3, 0, 0, "not a certificate"));
  EXPECT_TRUE(unusable(2, 1, 0, "not a key"));
  EXPECT_TRUE(unusable(3, 2, 1, std::string(32, 'x')));
  EXPECT_TRUE(unusable(3, 1, 3, std::string(32, 'x')));
  EXPECT_TRUE(unusable(4, 1, 1, std::string(32, 'x')));
  EXPECT_TRUE(unusable(0, 1, 1, std::string(32, 'x')));
  EXPECT_TRUE(unusable(1, 1, 1, std::string(32, 'x')));
}

TEST(Verification, LeavesNothingInTheErrorQueue) {
  pkix(authority().leaf_for("a.example").chain_pem, "mx.example.com");
  dane(authority().leaf_for("a.example").chain_pem, {});
  EXPECT_EQ(take_openssl_error(), "unknown cause");
}

}  // namespace
}  // namespace holdfast::verifying
