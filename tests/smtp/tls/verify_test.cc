// PKIX: a chain to a trusted root, and the name that the policy asks for. DANE is in verify_dane_test.cc.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/smtp/tls/verify_chain.h"

namespace holdfast::verifying {
namespace {

using std::chrono::hours;

TlsFailure pkix_failure(const CertificateSpec& spec, const std::string& host = "mx.example.com") {
  return pkix(authority().leaf(spec).chain_pem, host).failure;
}

TlsError with_names(std::vector<std::string> names, const std::string& host) {
  CertificateSpec spec;
  spec.dns = std::move(names);
  return pkix_failure(spec, host).error;
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

}  // namespace
}  // namespace holdfast::verifying
