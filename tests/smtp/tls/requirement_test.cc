#include "smtp/tls/requirement.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

DomainName dn(const char* text) { return *DomainName::parse(text); }

PkixRequirement pkix(const char* host) { return {.name = dn(host)}; }

DaneRequirement dane(const char* base, std::string data = std::string(32, 'a')) {
  return {.base_domain = dn(base), .names = {dn(base)}, .records = {{3, 1, 1, std::move(data)}}};
}

TlsEvidence encrypted() {
  TlsEvidence evidence;
  evidence.version = TlsVersion::tls13;
  evidence.strict = true;
  return evidence;
}

TlsRequirement authenticated(const char* host) {
  TlsRequirement wanted;
  wanted.level = TlsLevel::authenticated;
  wanted.pkix = pkix(host);
  return wanted;
}

// As OpenSSL writes them, in Received fields and reports.
TEST(TlsVersion, HasTheNameThatOpenSslGivesIt) {
  EXPECT_STREQ(name(TlsVersion::none), "none");
  EXPECT_STREQ(name(TlsVersion::tls10), "TLSv1");
  EXPECT_STREQ(name(TlsVersion::tls11), "TLSv1.1");
  EXPECT_STREQ(name(TlsVersion::tls12), "TLSv1.2");
  EXPECT_STREQ(name(TlsVersion::tls13), "TLSv1.3");
}

TEST(Requirement, LetsCleartextPassOnlyWhereThePlannerAllowsIt) {
  TlsRequirement wanted;
  wanted.level = TlsLevel::opportunistic;
  EXPECT_EQ(unmet(TlsEvidence(), wanted).error, TlsError::not_offered);
  wanted.cleartext_allowed = true;
  EXPECT_TRUE(satisfies(TlsEvidence(), wanted));
}

TEST(Requirement, NeverLetsCleartextPassWhereAnythingMoreIsAsked) {
  TlsRequirement open;
  open.level = TlsLevel::opportunistic;
  open.cleartext_allowed = true;
  const auto refused = [&](auto change) {
    auto wanted = open;
    change(wanted);
    return unmet(TlsEvidence(), wanted).error == TlsError::not_offered;
  };
  EXPECT_TRUE(refused([](TlsRequirement& r) { r.level = TlsLevel::encrypted; }));
  EXPECT_TRUE(refused([](TlsRequirement& r) { r.level = TlsLevel::authenticated; }));
  EXPECT_TRUE(refused([](TlsRequirement& r) { r.pkix = pkix("mx.example"); }));
  EXPECT_TRUE(refused([](TlsRequirement& r) { r.dane = dane("mx.example"); }));
  EXPECT_TRUE(refused([](TlsRequirement& r) { r.requiretls = true; }));
  EXPECT_TRUE(refused([](TlsRequirement& r) { r.min_version = TlsVersion::tls12; }));
  EXPECT_TRUE(refused([](TlsRequirement& r) { r.ciphers = "AES128-GCM-SHA256"; }));
}

TEST(Requirement, IsNotMetByAHandshakeThatAllowedWeakKeys) {
  auto evidence = encrypted();
  evidence.pkix = pkix("mx1.example");
  evidence.dane = dane("mx1.example");
  evidence.strict = false;
  EXPECT_EQ(unmet(evidence, authenticated("mx1.example")).error, TlsError::untrusted);
  TlsRequirement by_dane;
  by_dane.level = TlsLevel::authenticated;
  by_dane.dane = dane("mx1.example");
  EXPECT_EQ(unmet(evidence, by_dane).error, TlsError::untrusted);
  TlsRequirement unauthenticated;
  EXPECT_TRUE(satisfies(evidence, unauthenticated));
}

TEST(Requirement, IsMetByTheVeryNameOnly) {
  auto evidence = encrypted();
  evidence.pkix = pkix("mx1.example");
  EXPECT_TRUE(satisfies(evidence, authenticated("mx1.example")));
  EXPECT_EQ(unmet(evidence, authenticated("mx2.example")).error, TlsError::host_mismatch);
}

TEST(Requirement, IsNotMetByAnUnverifiedConnection) {
  EXPECT_EQ(unmet(encrypted(), authenticated("mx.example")).error, TlsError::untrusted);
}

TEST(Requirement, TellsTheReasonThatTheHandshakeFound) {
  auto evidence = encrypted();
  evidence.pkix_failure = {TlsError::expired, "long ago", "X509_V_ERR_CERT_HAS_EXPIRED"};
  const auto failure = unmet(evidence, authenticated("mx.example"));
  EXPECT_EQ(failure.error, TlsError::expired);
  EXPECT_EQ(failure.code, "X509_V_ERR_CERT_HAS_EXPIRED");
}

TEST(Requirement, IsNotMetByAnotherTlsaSet) {
  TlsRequirement wanted;
  wanted.level = TlsLevel::authenticated;
  wanted.dane = dane("mx.example");
  auto evidence = encrypted();
  evidence.dane = dane("mx.example", std::string(32, 'b'));
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::tlsa_mismatch);
  evidence.dane = dane("other.example");
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::tlsa_mismatch);
  evidence.dane = wanted.dane;
  EXPECT_TRUE(satisfies(evidence, wanted));
}

TEST(Requirement, NeedsBothWhereBothAreAsked) {
  auto wanted = authenticated("mx.example");
  wanted.dane = dane("mx.example");
  auto evidence = encrypted();
  evidence.pkix = wanted.pkix;
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::tlsa_mismatch);
  evidence.pkix.reset();
  evidence.dane = wanted.dane;
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::untrusted);
  evidence.pkix = wanted.pkix;
  EXPECT_TRUE(satisfies(evidence, wanted));
}

TEST(Requirement, TakesNoAuthenticationFromAResumedSession) {
  auto evidence = encrypted();
  evidence.pkix = pkix("mx.example");
  evidence.resumed = true;
  EXPECT_EQ(unmet(evidence, authenticated("mx.example")).error, TlsError::untrusted);
}

TEST(Requirement, CannotBeMetWhenItNamesNothingToAuthenticateBy) {
  TlsRequirement wanted;
  wanted.level = TlsLevel::authenticated;
  EXPECT_EQ(unmet(encrypted(), wanted).error, TlsError::untrusted);
}

TEST(Requirement, ComparesTheVersion) {
  TlsRequirement wanted;
  wanted.min_version = TlsVersion::tls13;
  auto evidence = encrypted();
  EXPECT_TRUE(satisfies(evidence, wanted));
  evidence.version = TlsVersion::tls12;
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::version_too_low);
}

TEST(Requirement, WantsTls12ForAnythingVerified) {
  auto evidence = encrypted();
  evidence.pkix = pkix("mx.example");
  evidence.version = TlsVersion::tls11;
  EXPECT_EQ(unmet(evidence, authenticated("mx.example")).error, TlsError::version_too_low);
}

TEST(Requirement, DoesNotTakeAConnectionMadeWithOtherCiphers) {
  TlsRequirement wanted;
  wanted.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
  auto evidence = encrypted();
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::protocol);
  evidence.ciphers = wanted.ciphers;
  EXPECT_TRUE(satisfies(evidence, wanted));
}

TEST(Requirement, WantsRequiretlsOfferedAndThePeerAuthenticated) {
  auto wanted = authenticated("mx.example");
  wanted.requiretls = true;
  auto evidence = encrypted();
  evidence.pkix = pkix("mx.example");
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::requiretls_missing);
  evidence.requiretls_offered = true;
  EXPECT_TRUE(satisfies(evidence, wanted));
  wanted.pkix.reset();
  wanted.level = TlsLevel::encrypted;
  EXPECT_EQ(unmet(evidence, wanted).error, TlsError::untrusted);
}

TEST(Requirement, WatchedPoliciesRefuseNothing) {
  TlsRequirement wanted;
  wanted.watch_pkix = pkix("mx.example");
  wanted.watch_dane = dane("mx.example");
  auto evidence = encrypted();
  evidence.pkix_failure = {TlsError::expired, "", ""};
  EXPECT_TRUE(satisfies(evidence, wanted));
}

// Eight kinds of requirement, and what a connection made under each proves.
TEST(Requirement, NoKindOfConnectionServesAnotherThatItDoesNotMeet) {
  const auto kind = [](int i) {
    TlsRequirement r;
    r.level = i == 0 ? TlsLevel::opportunistic : i == 1 ? TlsLevel::encrypted : TlsLevel::authenticated;
    r.cleartext_allowed = i == 0;
    if (i == 2 || i == 4 || i == 5 || i == 7) r.pkix = pkix("a.example");
    if (i == 6) r.pkix = pkix("b.example");
    if (i == 3 || i == 4) r.dane = dane("a.example");
    if (i == 7) r.dane = dane("a.example", std::string(32, 'z'));
    r.requiretls = i == 5;
    return r;
  };
  // Row: made under; column: needed by.
  const char* const table[8] = {"11000000", "11000000", "11100000", "11010000",
                                "11111000", "11100100", "11000010", "11100001"};
  for (int made = 0; made < 8; ++made) {
    TlsEvidence evidence = encrypted();
    const auto under = kind(made);
    evidence.pkix = under.pkix;
    evidence.dane = under.dane;
    evidence.requiretls_offered = under.requiretls;
    for (int needed = 0; needed < 8; ++needed) {
      const bool expected = table[made][needed] == '1';
      EXPECT_EQ(satisfies(evidence, kind(needed)), expected) << "made " << made << ", needed " << needed;
    }
  }
}

}  // namespace
}  // namespace holdfast
