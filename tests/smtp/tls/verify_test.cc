#include "smtp/tls/verify.h"

#include <gtest/gtest.h>

#include <chrono>

#include "smtp/tls/openssl.h"
#include "tests/fakes/certificates.h"

namespace holdfast {
namespace {

using std::chrono::hours;

DomainName dn(const std::string& text) { return *DomainName::parse(text); }

const TestAuthority& authority() {
  static const TestAuthority made;
  return made;
}

const TlsClientContexts& contexts() {
  static const TemporaryFile roots(authority().root.pem);
  static const auto made = *TlsClientContexts::create(roots.path());
  return *made;
}

// What a handshake would bring.
struct Chain {
  explicit Chain(const std::string& pem) : all(sk_X509_new_null()) {
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) sk_X509_push(all, next);
  }
  ~Chain() { sk_X509_pop_free(all, X509_free); }
  Chain(const Chain&) = delete;
  X509* leaf() const { return sk_X509_value(all, 0); }
  X509_STACK* all;
};

ChainVerdict pkix(const std::string& chain_pem, const std::string& host) {
  const Chain chain(chain_pem);
  PkixRequirement wanted;
  if (!host.empty()) wanted.name = dn(host);
  return verify_pkix(contexts(), chain.leaf(), chain.all, wanted);
}

TlsFailure pkix_failure(const CertificateSpec& spec, const std::string& host = "mx.example.com") {
  return pkix(authority().leaf(spec).chain_pem, host).failure;
}

TlsError with_names(std::vector<std::string> names, const std::string& host) {
  CertificateSpec spec;
  spec.dns = std::move(names);
  return pkix_failure(spec, host).error;
}

ChainVerdict dane(const std::string& chain_pem, std::vector<TlsaRecord> records,
                  const std::string& base = "mx.example.com", const std::string& other = "") {
  const Chain chain(chain_pem);
  DaneRequirement wanted;
  wanted.base_domain = dn(base);
  wanted.names = {wanted.base_domain};
  if (!other.empty()) wanted.names.push_back(dn(other));
  wanted.records = std::move(records);
  return verify_dane(contexts(), chain.leaf(), chain.all, wanted);
}

TEST(Pkix, OfAPeerWithoutACertificateIsAFailureOfItsOwnAndSoIsDane) {
  const Chain nothing("");
  PkixRequirement named;
  named.name = dn("mx.example.com");
  EXPECT_EQ(verify_pkix(contexts(), nullptr, nothing.all, named).failure.error, TlsError::no_certificate);
  EXPECT_EQ(dane("", {{3, 1, 1, std::string(32, 'a')}}).failure.error, TlsError::no_certificate);
}

TEST(Pkix, AcceptsALeafThatNamesTheHost) {
  EXPECT_EQ(with_names({"mx.example.com"}, "mx.example.com"), TlsError::none);
  EXPECT_EQ(with_names({"other.example", "MX.Example.COM"}, "mx.example.com"), TlsError::none);
}

TEST(Pkix, RefusesAnotherHostAndSaysWhichWereNamed) {
  CertificateSpec spec;
  spec.dns = {"a.example.net", "b.example.net"};
  const auto failure = pkix_failure(spec);
  EXPECT_EQ(failure.error, TlsError::host_mismatch);
  EXPECT_EQ(failure.code, "X509_V_ERR_HOSTNAME_MISMATCH");
  EXPECT_EQ(failure.detail, "expected mx.example.com, the certificate names a.example.net, b.example.net");
}

TEST(Pkix, TakesAWildcardAsExactlyOneWholeLabel) {
  EXPECT_EQ(with_names({"*.example.com"}, "mx.example.com"), TlsError::none);
  EXPECT_EQ(with_names({"*.example.com"}, "a.b.example.com"), TlsError::host_mismatch);
  EXPECT_EQ(with_names({"*.example.com"}, "example.com"), TlsError::host_mismatch);
  EXPECT_EQ(with_names({"mx.*.com"}, "mx.example.com"), TlsError::host_mismatch);
  EXPECT_EQ(with_names({"*"}, "mx.example.com"), TlsError::host_mismatch);
}

TEST(Pkix, RefusesPartialWildcards) {
  EXPECT_EQ(with_names({"m*.example.com"}, "mx.example.com"), TlsError::host_mismatch);
  EXPECT_EQ(with_names({"*x.example.com"}, "mx.example.com"), TlsError::host_mismatch);
  EXPECT_EQ(with_names({"m*x.example.com"}, "mx.example.com"), TlsError::host_mismatch);
}

TEST(Pkix, RefusesNamesWithADotTooMany) {
  EXPECT_EQ(with_names({".example.com"}, "mx.example.com"), TlsError::host_mismatch);
  EXPECT_EQ(with_names({"example.com"}, "mx.example.com"), TlsError::host_mismatch);
}

TEST(Pkix, RefusesANameBehindANul) {
  EXPECT_NE(with_names({std::string("mx.example.com\0.evil.example", 28)}, "mx.example.com"), TlsError::none);
}

TEST(Pkix, NeverTakesTheCommonName) {
  CertificateSpec spec;
  spec.common_name = "mx.example.com";
  EXPECT_EQ(pkix_failure(spec).error, TlsError::host_mismatch);
  spec.dns = {"other.example.com"};
  EXPECT_EQ(pkix_failure(spec).error, TlsError::host_mismatch);
  spec.dns.clear();
  spec.ip = {"192.0.2.1"};
  EXPECT_EQ(pkix_failure(spec).error, TlsError::host_mismatch);
}

TEST(Pkix, NeverRunsWithoutAName) {
  EXPECT_EQ(pkix(authority().leaf_for("mx.example.com").chain_pem, "").failure.error,
            TlsError::host_mismatch);
}

TEST(Pkix, RefusesAnExpiredLeaf) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  spec.valid_from = hours(-48);
  spec.valid_to = hours(-24);
  const auto failure = pkix_failure(spec);
  EXPECT_EQ(failure.error, TlsError::expired);
  EXPECT_EQ(failure.code, "X509_V_ERR_CERT_HAS_EXPIRED");
}

TEST(Pkix, RefusesAnExpiredIntermediate) {
  CertificateSpec spec;
  spec.authority = true;
  spec.valid_from = hours(-48);
  spec.valid_to = hours(-24);
  const auto intermediate = issue(authority().root, spec);
  CertificateSpec leaf;
  leaf.dns = {"mx.example.com"};
  EXPECT_EQ(pkix(issue(intermediate, leaf).chain_pem, "mx.example.com").failure.error, TlsError::expired);
}

TEST(Pkix, RefusesALeafThatIsNotYetValid) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  spec.valid_from = hours(24);
  const auto failure = pkix_failure(spec);
  EXPECT_EQ(failure.error, TlsError::not_yet_valid);
  EXPECT_EQ(failure.code, "X509_V_ERR_CERT_NOT_YET_VALID");
}

TEST(Pkix, RefusesAnIntermediateThatIsNotYetValid) {
  CertificateSpec spec;
  spec.authority = true;
  spec.valid_from = hours(24);
  const auto intermediate = issue(authority().root, spec);
  CertificateSpec leaf;
  leaf.dns = {"mx.example.com"};
  EXPECT_EQ(pkix(issue(intermediate, leaf).chain_pem, "mx.example.com").failure.error,
            TlsError::not_yet_valid);
}

TEST(Pkix, RefusesSelfSignedAndUnknownAuthorities) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  const auto alone = pkix(make_self_signed_certificate(spec).pem, "mx.example.com").failure;
  EXPECT_EQ(alone.error, TlsError::untrusted);
  EXPECT_EQ(alone.code, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
  const TestAuthority unknown("Unknown");
  EXPECT_EQ(pkix(unknown.leaf(spec).chain_pem, "mx.example.com").failure.error, TlsError::untrusted);
  EXPECT_EQ(pkix(unknown.leaf(spec).chain_pem + unknown.root.pem, "mx.example.com").failure.error,
            TlsError::untrusted);
}

TEST(Pkix, RefusesAChainWithAGap) {
  const auto leaf = authority().leaf_for("mx.example.com");
  EXPECT_EQ(pkix(leaf.pem, "mx.example.com").failure.error, TlsError::untrusted);
}

TEST(Pkix, RefusesALeafSignedByALeaf) {
  const auto middle = authority().leaf_for("evil.example");
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  EXPECT_EQ(pkix(issue(middle, spec).chain_pem, "mx.example.com").failure.error, TlsError::untrusted);
}

TEST(Pkix, RefusesABrokenConstraint) {
  CertificateSpec constrained;
  constrained.authority = true;
  constrained.permitted_dns = "example.net";
  CertificateSpec leaf;
  leaf.dns = {"mx.example.com"};
  const auto outside = issue(issue(authority().root, constrained), leaf);
  EXPECT_EQ(pkix(outside.chain_pem, "mx.example.com").failure.code, "X509_V_ERR_PERMITTED_VIOLATION");

  CertificateSpec shallow;
  shallow.authority = true;
  shallow.path_length = 0;
  const auto first = issue(authority().root, shallow);
  shallow.path_length = -1;
  shallow.common_name = "too deep";
  const auto deep = issue(issue(first, shallow), leaf);
  EXPECT_EQ(pkix(deep.chain_pem, "mx.example.com").failure.code, "X509_V_ERR_PATH_LENGTH_EXCEEDED");
}

TEST(Pkix, RefusesWhatAnAuthorityIsExcludedFrom) {
  CertificateSpec constrained;
  constrained.authority = true;
  constrained.permitted_dns = "com";
  constrained.excluded_dns = "example.com";
  const auto intermediate = issue(authority().root, constrained);
  CertificateSpec leaf;
  leaf.dns = {"mx.example.com"};
  const auto failure = pkix(issue(intermediate, leaf).chain_pem, "mx.example.com").failure;
  EXPECT_EQ(failure.error, TlsError::untrusted);
  EXPECT_EQ(failure.code, "X509_V_ERR_EXCLUDED_VIOLATION");
  leaf.dns = {"mx.example.com", "mx.other.com"};  // one name outside spoils the certificate
  EXPECT_EQ(pkix(issue(intermediate, leaf).chain_pem, "mx.other.com").failure.code,
            "X509_V_ERR_EXCLUDED_VIOLATION");
  leaf.dns = {"mx.other.com"};
  EXPECT_FALSE(pkix(issue(intermediate, leaf).chain_pem, "mx.other.com").failure);
}

TEST(Pkix, RefusesAnIntermediateThatSignedItself) {
  CertificateSpec spec;
  spec.authority = true;
  spec.common_name = "Self-made";
  const auto self_made = make_self_signed_certificate(spec);
  CertificateSpec leaf;
  leaf.dns = {"mx.example.com"};
  const auto issued = issue(self_made, leaf);
  const auto sent = pkix(issued.pem + self_made.pem, "mx.example.com").failure;
  EXPECT_EQ(sent.error, TlsError::untrusted);
  EXPECT_EQ(sent.code, "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN");
  EXPECT_EQ(pkix(issued.pem + self_made.pem + authority().root.pem, "mx.example.com").failure.error,
            TlsError::untrusted);
}

TEST(Pkix, RefusesAnAuthorityWithoutTheFlag) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  const auto failure =
      pkix(issue(authority().leaf_for("evil.example"), spec).chain_pem, "mx.example.com").failure;
  EXPECT_EQ(failure.code, "X509_V_ERR_INVALID_CA");
}

TEST(Pkix, RefusesSignaturesOverSha1) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  spec.sha1 = true;
  const auto leaf = pkix_failure(spec);
  EXPECT_EQ(leaf.error, TlsError::untrusted);
  EXPECT_EQ(leaf.code, "X509_V_ERR_CA_MD_TOO_WEAK");
  CertificateSpec weak;
  weak.authority = true;
  weak.sha1 = true;
  spec.sha1 = false;
  EXPECT_EQ(pkix(issue(issue(authority().root, weak), spec).chain_pem, "mx.example.com").failure.code,
            "X509_V_ERR_CA_MD_TOO_WEAK");
}

TEST(Pkix, ComparesInternationalNamesAsALabels) {
  EXPECT_EQ(with_names({"mx.xn--bcher-kva.example"},
                       "mx.b\xc3\xbc"
                       "cher.example"),
            TlsError::none);
  EXPECT_EQ(with_names({"*.xn--bcher-kva.example"}, "mx.xn--bcher-kva.example"), TlsError::none);
  // A SAN is ASCII: what is not says nothing.
  EXPECT_EQ(with_names({"mx.b\xc3\xbc"
                        "cher.example"},
                       "mx.xn--bcher-kva.example"),
            TlsError::host_mismatch);
  // A wildcard within an A-label would match labels that look nothing like it.
  EXPECT_EQ(with_names({"xn--*.example"}, "xn--bcher-kva.example"), TlsError::host_mismatch);
  EXPECT_EQ(with_names({"xn--bcher-*.example"}, "xn--bcher-kva.example"), TlsError::host_mismatch);
}

TEST(Pkix, NeverTakesAnAddressForAName) {
  CertificateSpec spec;
  spec.ip = {"192.0.2.1"};
  spec.dns = {"192.0.2.1"};
  EXPECT_EQ(pkix_failure(spec).error, TlsError::host_mismatch);
}

TEST(Pkix, RefusesAWeakAuthority) {
  CertificateSpec weak;
  weak.authority = true;
  weak.rsa_bits = 1024;
  CertificateSpec leaf;
  leaf.dns = {"mx.example.com"};
  const auto failure = pkix(issue(issue(authority().root, weak), leaf).chain_pem, "mx.example.com").failure;
  EXPECT_EQ(failure.error, TlsError::untrusted);
  EXPECT_EQ(failure.code, "X509_V_ERR_CA_KEY_TOO_SMALL");
}

TEST(Pkix, RefusesACertificateForClients) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  spec.client_only = true;
  EXPECT_EQ(pkix_failure(spec).error, TlsError::untrusted);
}

TEST(Pkix, RefusesAWeakKey) {
  CertificateSpec spec;
  spec.dns = {"mx.example.com"};
  spec.rsa_bits = 1024;
  const auto failure = pkix_failure(spec);
  EXPECT_EQ(failure.error, TlsError::untrusted);
  EXPECT_EQ(failure.code, "X509_V_ERR_EE_KEY_TOO_SMALL");
}

TEST(Pkix, RefusesAVeryLongChainInNoTime) {
  std::string chain = authority().leaf_for("mx.example.com").chain_pem;
  CertificateSpec spec;
  spec.authority = true;
  auto last = authority().root;
  for (int i = 0; i < 20; ++i) {
    spec.common_name = "link " + std::to_string(i);
    last = issue(last, spec);
    for (int copies = 0; copies < 10; ++copies) chain += last.pem;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto failure = pkix(chain, "mx.example.com").failure;
  EXPECT_EQ(failure.code, "X509_V_ERR_CERT_CHAIN_TOO_LONG");
  EXPECT_EQ(dane(chain, {last.tlsa(2, 1, 1)}).failure.code, "X509_V_ERR_CERT_CHAIN_TOO_LONG");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Pkix, FollowsAChainOfUsualLengthOnly) {
  const auto of_length = [](int intermediates) {
    CertificateSpec spec;
    spec.authority = true;
    auto last = authority().root;
    for (int i = 0; i < intermediates; ++i) {
      spec.common_name = "link " + std::to_string(i);
      last = issue(last, spec);
    }
    CertificateSpec leaf;
    leaf.dns = {"mx.example.com"};
    return pkix(issue(last, leaf).chain_pem, "mx.example.com").failure.error;
  };
  EXPECT_EQ(of_length(6), TlsError::none);
  EXPECT_EQ(of_length(15), TlsError::untrusted);
}

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
}  // namespace holdfast
