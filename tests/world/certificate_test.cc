#include "tests/world/certificate.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {
namespace {

// The openssl program judges what was made.
class WorldCertificate : public testing::Test {
 protected:
  void SetUp() override {
    if (run_process({"openssl", "version"}).code != 0) GTEST_SKIP() << "openssl is not installed";
    std::ofstream(folder_.path() / "ca.pem") << authority_.root_pem();
  }
  // What `openssl verify` says of the identity for this host.
  bool holds(const Identity& identity, const std::string& host) {
    identity.write_to(folder_.path());
    return run_process({"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname",
                        host, "-CAfile", (folder_.path() / "ca.pem").string(),
                        (folder_.path() / "certificate.pem").string()})
               .code == 0;
  }
  std::string shell(const std::string& command) {
    auto text = run_process({"bash", "-c", "cd " + folder_.path().string() + " && " + command}).out;
    return text.substr(0, text.find_first_of(" \n"));
  }
  TempDir folder_;
  Authority authority_{"Root"};
};

TEST_F(WorldCertificate, HoldsForTheNameItWasIssuedTo) {
  EXPECT_TRUE(holds(authority_.issue("mx.enforce.test"), "mx.enforce.test"));
  EXPECT_FALSE(holds(authority_.issue("mx.enforce.test"), "mx.other.test"));
  EXPECT_TRUE(holds(authority_.issue("*.enforce.test"), "mx.enforce.test"));
}

TEST_F(WorldCertificate, DoesNotHoldWhenExpiredSelfSignedOrOfAnotherAuthority) {
  CertificateSpec spec;
  spec.dns_names = {"mx.enforce.test"};
  EXPECT_FALSE(holds(self_signed(spec), "mx.enforce.test"));
  EXPECT_FALSE(holds(Authority("Other").issue(spec), "mx.enforce.test"));
  spec.valid_until = std::chrono::hours(-1);
  EXPECT_FALSE(holds(authority_.issue(spec), "mx.enforce.test"));
  spec.valid_from = std::chrono::hours(1);
  spec.valid_until = std::chrono::hours(2);
  EXPECT_FALSE(holds(authority_.issue(spec), "mx.enforce.test"));
}

TEST_F(WorldCertificate, GivesTheTlsaDataThatOpensslComputes) {
  const auto identity = authority_.issue("mx.enforce.test");
  identity.write_to(folder_.path());
  EXPECT_EQ(tlsa_association(identity.chain_pem, 0, 1),
            shell("openssl x509 -in certificate.pem -outform DER | sha256sum"));
  EXPECT_EQ(
      tlsa_association(identity.chain_pem, 1, 2),
      shell(
          "openssl x509 -in certificate.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha512sum"));
  EXPECT_EQ(tlsa_association(identity.chain_pem, 0, 0),
            shell("openssl x509 -in certificate.pem -outform DER | od -An -v -tx1 | tr -d ' \\n'"));
}

}  // namespace
}  // namespace holdfast::world
