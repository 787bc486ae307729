#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "tests/smtp/tls/tls_pair.h"

namespace holdfast {
namespace {

using std::chrono::hours;

constexpr const char* kHost = "mx.example.com";

// Every rule in TLS 1.2 and 1.3.
class Handshake : public testing::TestWithParam<int> {
 protected:
  ServerContext server(const TestCertificate& certificate) {
    auto made = server_with(certificate);
    EXPECT_EQ(SSL_CTX_set_max_proto_version(made->get(), GetParam()), 1);
    return made;
  }
  TlsVersion version() const { return static_cast<TlsVersion>(GetParam()); }
  const TestAuthority& authority() const { return TlsWorld::authority(); }

  TlsHandshake refused(const TlsRequirement& wanted, const TestCertificate& shown) {
    auto meeting = world.meet(wanted, server(shown));
    EXPECT_EQ(meeting.client.stream, nullptr);
    EXPECT_TRUE(meeting.client.failure);
    EXPECT_EQ(meeting.client.evidence.version, TlsVersion::none);
    EXPECT_FALSE(satisfies(meeting.client.evidence, wanted));
    server_failure = meeting.server.failure;
    return std::move(meeting.client);
  }

  TlsWorld world;
  TlsFailure server_failure;
};
INSTANTIATE_TEST_SUITE_P(Versions, Handshake, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

TEST_P(Handshake, GathersEvidence) {
  const auto leaf = authority().leaf_for(kHost);
  const auto wanted = verified_by_pkix(kHost);
  auto meeting = world.meet(wanted, server(leaf));
  ASSERT_TRUE(meeting.met()) << meeting.client.failure.detail;
  const auto& evidence = meeting.client.stream->evidence();
  EXPECT_TRUE(satisfies(evidence, wanted));
  EXPECT_EQ(evidence.version, version());
  EXPECT_FALSE(evidence.cipher.empty());
  EXPECT_EQ(evidence.server_name, dn(kHost));
  EXPECT_FALSE(evidence.resumed);
  EXPECT_EQ(evidence.pkix, wanted.pkix);
  EXPECT_FALSE(evidence.dane);
  ASSERT_EQ(evidence.chain.size(), 2u);
  EXPECT_EQ(evidence.chain[0].subject, "CN=ignored");
  EXPECT_EQ(evidence.chain[0].issuer, "CN=Test Intermediate");
  EXPECT_EQ(evidence.chain[0].names, std::vector<std::string>{kHost});
  EXPECT_EQ(evidence.chain[0].key, "EC P-256");
  EXPECT_EQ(evidence.chain[0].sha256.size(), 64u);
  EXPECT_LT(evidence.chain[0].not_before, evidence.chain[0].not_after);
  EXPECT_EQ(evidence.chain[1].subject, "CN=Test Intermediate");
}

TEST_P(Handshake, SendsTheServerName) {
  auto meeting = world.meet(verified_by_pkix(kHost), server(authority().leaf_for(kHost)));
  ASSERT_TRUE(meeting.met());
  EXPECT_EQ(meeting.server.stream->evidence().server_name, dn(kHost));
  EXPECT_EQ(meeting.server.stream->evidence().version, version());
}

TEST_P(Handshake, RefusesAWrongNameAndTellsThePeer) {
  const auto result = refused(verified_by_pkix(kHost), authority().leaf_for("other.example"));
  EXPECT_EQ(result.failure.error, TlsError::host_mismatch);
  EXPECT_EQ(result.evidence.pkix_failure.error, TlsError::host_mismatch);
  EXPECT_EQ(result.evidence.chain.size(), 2u);
  EXPECT_TRUE(server_failure.code.starts_with("alert-")) << server_failure.code << server_failure.detail;
}

TEST_P(Handshake, RefusesAnExpiredCertificateWithTheAlertForIt) {
  CertificateSpec spec;
  spec.dns = {kHost};
  spec.valid_from = hours(-48);
  spec.valid_to = hours(-24);
  EXPECT_EQ(refused(verified_by_pkix(kHost), authority().leaf(spec)).failure.error, TlsError::expired);
  EXPECT_EQ(server_failure.code, "alert-45");
}

TEST_P(Handshake, RefusesAnUnknownAuthorityWithTheAlertForIt) {
  CertificateSpec spec;
  spec.dns = {kHost};
  const TestAuthority unknown("Unknown");
  EXPECT_EQ(refused(verified_by_pkix(kHost), unknown.leaf(spec)).failure.error, TlsError::untrusted);
  EXPECT_EQ(server_failure.code, "alert-48");
  EXPECT_EQ(refused(verified_by_pkix(kHost), make_self_signed_certificate(spec)).failure.error,
            TlsError::untrusted);
}

TEST_P(Handshake, AcceptsByDane) {
  CertificateSpec spec;
  const auto shown = make_self_signed_certificate(spec);
  const auto wanted = verified_by_dane(kHost, {shown.tlsa(3, 1, 1)});
  auto meeting = world.meet(wanted, server(shown));
  ASSERT_TRUE(meeting.met()) << meeting.client.failure.detail;
  const auto& evidence = meeting.client.stream->evidence();
  EXPECT_EQ(evidence.dane, wanted.dane);
  EXPECT_EQ(evidence.dane_match, "3 1 1 at depth 0");
  EXPECT_FALSE(evidence.pkix);
  EXPECT_TRUE(satisfies(evidence, wanted));
}

TEST_P(Handshake, RefusesByDaneThoughPkixWouldDo) {
  const auto shown = authority().leaf_for(kHost), other = authority().leaf_for(kHost);
  const auto result = refused(verified_by_dane(kHost, {other.tlsa(3, 1, 1)}), shown);
  EXPECT_EQ(result.failure.error, TlsError::tlsa_mismatch);
  EXPECT_EQ(result.evidence.dane_failure.error, TlsError::tlsa_mismatch);
}

TEST_P(Handshake, NeedsBothWhereBothAreRequired) {
  const auto shown = authority().leaf_for(kHost), other = authority().leaf_for(kHost);
  auto wanted = verified_by_pkix(kHost);
  wanted.dane = dane_for(kHost, {shown.tlsa(3, 1, 1)});
  EXPECT_TRUE(world.meet(wanted, server(shown)).met());

  // MTA-STS does not rescue DANE.
  wanted.dane = dane_for(kHost, {other.tlsa(3, 1, 1)});
  auto result = refused(wanted, shown);
  EXPECT_EQ(result.failure.error, TlsError::tlsa_mismatch);
  EXPECT_EQ(result.evidence.pkix, wanted.pkix);
  EXPECT_FALSE(result.evidence.pkix_failure);

  // DANE does not excuse MTA-STS; each failure is kept on its own.
  CertificateSpec spec;
  const auto alone = make_self_signed_certificate(spec);
  wanted.dane = dane_for(kHost, {alone.tlsa(3, 1, 1)});
  result = refused(wanted, alone);
  EXPECT_EQ(result.failure.error, TlsError::untrusted);
  EXPECT_EQ(result.evidence.dane, wanted.dane);

  wanted.dane = dane_for(kHost, {other.tlsa(3, 1, 1)});
  result = refused(wanted, alone);
  EXPECT_EQ(result.evidence.pkix_failure.error, TlsError::untrusted);
  EXPECT_EQ(result.evidence.dane_failure.error, TlsError::tlsa_mismatch);
}

TEST_P(Handshake, WatchingFailsNothingAndRecordsWhy) {
  CertificateSpec spec;
  spec.dns = {"other.example"};
  const auto shown = authority().leaf(spec), other = authority().leaf(spec);
  TlsRequirement wanted;
  wanted.level = TlsLevel::opportunistic;
  wanted.server_name = dn(kHost);
  wanted.watch_pkix = verified_by_pkix(kHost).pkix;
  wanted.watch_dane = dane_for(kHost, {other.tlsa(3, 1, 1)});
  auto meeting = world.meet(wanted, server(shown));
  ASSERT_TRUE(meeting.met()) << meeting.client.failure.detail;
  const auto& evidence = meeting.client.stream->evidence();
  EXPECT_FALSE(evidence.pkix);
  EXPECT_EQ(evidence.pkix_failure.error, TlsError::host_mismatch);
  EXPECT_FALSE(evidence.dane);
  EXPECT_EQ(evidence.dane_failure.error, TlsError::tlsa_mismatch);
}

TEST_P(Handshake, WatchingRecordsSuccessToo) {
  const auto shown = authority().leaf_for(kHost);
  TlsRequirement wanted;
  wanted.server_name = dn(kHost);
  wanted.watch_pkix = verified_by_pkix(kHost).pkix;
  wanted.watch_dane = dane_for(kHost, {shown.tlsa(3, 0, 2)});
  auto meeting = world.meet(wanted, server(shown));
  ASSERT_TRUE(meeting.met());
  EXPECT_EQ(meeting.client.stream->evidence().pkix, wanted.watch_pkix);
  EXPECT_EQ(meeting.client.stream->evidence().dane, wanted.watch_dane);
}

TEST_P(Handshake, TakesAnyCertificateWhereNothingIsVerified) {
  CertificateSpec spec;
  spec.rsa_bits = 1024;
  spec.valid_from = hours(-48);
  spec.valid_to = hours(-24);
  const auto weak = make_self_signed_certificate(spec);
  auto made = server_with(authority().leaf_for("unused.example"));
  // What a server with an outdated key does: only at security level 0 can it load one.
  SSL_CTX_set_security_level(made->get(), 0);
  auto shown = made;
  {
    BIO* certificate = BIO_new_mem_buf(weak.pem.data(), static_cast<int>(weak.pem.size()));
    BIO* key = BIO_new_mem_buf(weak.key_pem.data(), static_cast<int>(weak.key_pem.size()));
    X509* x509 = PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
    EVP_PKEY* pkey = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
    EXPECT_EQ(SSL_CTX_use_cert_and_key(made->get(), x509, pkey, nullptr, 1), 1);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    BIO_free(certificate);
    BIO_free(key);
  }
  SSL_CTX_set_max_proto_version(made->get(), GetParam());
  SSL_CTX_set1_sigalgs_list(made->get(), "RSA-PSS+SHA256:RSA+SHA256");
  TlsRequirement wanted;
  wanted.level = TlsLevel::opportunistic;
  EXPECT_TRUE(world.meet(wanted, shown).met());
  wanted.level = TlsLevel::encrypted;
  EXPECT_TRUE(world.meet(wanted, shown).met());
}

TEST_P(Handshake, NeverResumes) {
  const auto made = server(authority().leaf_for(kHost));
  // A server that would: cache and tickets on, as most have them.
  SSL_CTX_set_session_cache_mode(made->get(), SSL_SESS_CACHE_SERVER);
  SSL_CTX_clear_options(made->get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(made->get(), 2);
  SSL_CTX_set_session_id_context(made->get(), reinterpret_cast<const unsigned char*>("t"), 1);
  TlsRequirement open;
  open.server_name = dn(kHost);
  for (const auto& wanted : {open, verified_by_pkix(kHost), open, verified_by_pkix(kHost)}) {
    auto meeting = world.meet(wanted, made);
    ASSERT_TRUE(meeting.met());
    EXPECT_FALSE(meeting.client.stream->evidence().resumed);
  }
  EXPECT_EQ(SSL_CTX_sess_hits(made->get()), 0);
  // And what was not verified is not made good by what was: another host is refused as ever.
  EXPECT_EQ(refused(verified_by_pkix("other.example"), authority().leaf_for(kHost)).failure.error,
            TlsError::host_mismatch);
}

// Ours on both sides: a peer of another make may put its own order first.
TEST(Tls13, UsesTheCheapestSoundCipherAndAnyOtherThatAPeerInsistsOn) {
  TlsWorld world;
  for (const char* only : {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", ""}) {
    const auto made = server_with(TlsWorld::authority().leaf_for(kHost));
    if (*only != 0) SSL_CTX_set_ciphersuites(made->get(), only);
    auto meeting = world.meet(verified_by_pkix(kHost), made);
    ASSERT_TRUE(meeting.met()) << only;
    EXPECT_EQ(meeting.client.stream->evidence().cipher, *only != 0 ? only : "TLS_AES_128_GCM_SHA256");
  }
}

TEST_P(Handshake, HoldsToTheMinimumVersion) {
  auto wanted = verified_by_pkix(kHost);
  wanted.min_version = TlsVersion::tls13;
  auto meeting = world.meet(wanted, server(authority().leaf_for(kHost)));
  if (version() == TlsVersion::tls13) {
    EXPECT_TRUE(meeting.met());
  } else {
    EXPECT_EQ(meeting.client.failure.error, TlsError::version_too_low) << meeting.client.failure.detail;
    EXPECT_EQ(meeting.client.failure.code, "alert-70");
  }
}

TEST_P(Handshake, OurServerHoldsToItsMinimumVersion) {
  auto made = server_with(authority().leaf_for(kHost), TlsVersion::tls13);
  TlsRequirement wanted;
  auto contexts = world.contexts;
  SSL_CTX_set_max_proto_version(contexts->opportunistic(), GetParam());
  EXPECT_EQ(world.meet(wanted, made).met(), version() == TlsVersion::tls13);
}

TEST_P(Handshake, NegotiatesAnApplicationProtocol) {
  const auto made = server(authority().leaf_for(kHost));
  SSL_CTX_set_alpn_select_cb(
      made->get(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size,
         void*) {
        static const unsigned char h2[] = "\x02h2";
        auto** chosen = const_cast<unsigned char**>(out);
        const int found = SSL_select_next_proto(chosen, size, h2, 3, in, in_size);
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
      },
      nullptr);
  auto meeting = world.meet(verified_by_pkix(kHost), made, {}, {}, {"h2", "http/1.1"});
  ASSERT_TRUE(meeting.met());
  EXPECT_EQ(meeting.client.stream->alpn(), "h2");
  meeting = world.meet(verified_by_pkix(kHost), made);
  ASSERT_TRUE(meeting.met());
  EXPECT_EQ(meeting.client.stream->alpn(), "");
}

TEST_P(Handshake, RefusesAFloodOfCertificates) {
  auto shown = authority().leaf_for(kHost);
  for (int i = 0; i < 200; ++i) shown.chain_pem += authority().intermediate.pem;
  EXPECT_TRUE(refused(verified_by_pkix(kHost), shown).failure);
  shown = authority().leaf_for(kHost);
  for (int i = 0; i < 40; ++i) shown.chain_pem += authority().intermediate.pem;
  EXPECT_EQ(refused(verified_by_pkix(kHost), shown).failure.code, "X509_V_ERR_CERT_CHAIN_TOO_LONG");
}

TEST_P(Handshake, CannotBeMadeWithUnknownCiphers) {
  auto wanted = verified_by_pkix(kHost);
  wanted.ciphers = "NO-SUCH-CIPHER";
  const auto result = refused(wanted, authority().leaf_for(kHost));
  EXPECT_EQ(result.failure.error, TlsError::protocol);
}

TEST_P(Handshake, AnAuthenticatedPlanWithoutAnAnchorFails) {
  TlsRequirement wanted;
  wanted.level = TlsLevel::authenticated;
  wanted.server_name = dn(kHost);
  EXPECT_EQ(refused(wanted, authority().leaf_for(kHost)).failure.error, TlsError::untrusted);
}

// No certificate at all: an anonymous key exchange, which only a peer at level 0 would take.
TEST(AnonymousPeer, IsNeverAccepted) {
  TlsWorld world;
  const auto made = server_with(TlsWorld::authority().leaf_for(kHost));
  SSL_CTX_set_security_level(made->get(), 0);
  SSL_CTX_set_max_proto_version(made->get(), TLS1_2_VERSION);
  ASSERT_EQ(SSL_CTX_set_cipher_list(made->get(), "aNULL:@SECLEVEL=0"), 1);
  EXPECT_FALSE(world.meet(verified_by_pkix(kHost), made).met());
}

TEST(WeakPeer, GetsWeakTlsOnlyWhereNothingIsVerified) {
  TlsWorld world;
  const auto made = server_with(TlsWorld::authority().leaf_for(kHost));
  SSL_CTX_set_security_level(made->get(), 0);
  SSL_CTX_set_min_proto_version(made->get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(made->get(), TLS1_1_VERSION);
  TlsRequirement open;
  open.level = TlsLevel::opportunistic;
  open.server_name = dn(kHost);
  open.watch_pkix = verified_by_pkix(kHost).pkix;
  auto meeting = world.meet(open, made);
  ASSERT_TRUE(meeting.met()) << meeting.client.failure.detail;
  EXPECT_EQ(meeting.client.stream->evidence().version, TlsVersion::tls11);
  // What enforcing would have refused is recorded as such.
  EXPECT_EQ(meeting.client.stream->evidence().pkix_failure.error, TlsError::version_too_low);
  EXPECT_FALSE(meeting.client.stream->evidence().pkix);

  meeting = world.meet(verified_by_pkix(kHost), made);
  EXPECT_EQ(meeting.client.failure.error, TlsError::version_too_low) << meeting.client.failure.detail;
}

TEST(WeakPeer, WithAShortKeyIsRefusedWhereVerified) {
  TlsWorld world;
  CertificateSpec spec;
  spec.dns = {kHost};
  spec.rsa_bits = 1024;
  EXPECT_FALSE(TlsServerContext::from_pem(TlsWorld::authority().leaf(spec).chain_pem,
                                          TlsWorld::authority().leaf(spec).key_pem, TlsVersion::none));
}

}  // namespace
}  // namespace holdfast
