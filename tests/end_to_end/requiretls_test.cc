// What a message itself asks of TLS (RFC 8689): REQUIRETLS and `TLS-Required: No`.
#include <fstream>

#include "tests/end_to_end/protocol.h"

namespace holdfast::world {
namespace {

class Requiretls : public EndToEnd {
 protected:
  // The last reply to the submission, with these parameters of MAIL.
  SmtpReply submit_with(const std::string& parameters, const std::string& content = canary_message(),
                        const std::string& user = Relay::kUser) {
    SmtpClient client(relay_->submission());
    EXPECT_EQ(client.log_in(user, Relay::kPassword).code, 235);
    const auto mail = client.command("MAIL FROM:<shop@sender.test> " + parameters);
    if (mail.code != 250) return mail;
    EXPECT_EQ(client.command("RCPT TO:<bob@d.test>").code, 250);
    return client.data(content);
  }
  // The bounce, whose headers alone come back.
  std::string bounce() {
    const auto mail = world_.journal().wait_for_mail_to("shop@sender.test");
    EXPECT_TRUE(mail) << relay_->transcript();
    if (!mail) return "";
    EXPECT_EQ(mail->reverse_path, "");
    EXPECT_EQ(mail->content.find(kBodyCanary), std::string::npos) << "a body octet in a REQUIRETLS bounce";
    EXPECT_NE(mail->content.find(kSubjectCanary), std::string::npos);
    return mail->content;
  }
  void expect_no_mail_command(const std::string& mx) {
    for (const auto& session : world_.journal().sessions(mx))
      for (const auto& command : session.commands) EXPECT_FALSE(command.starts_with("MAIL")) << command;
  }
  static MxSettings offering() {
    MxSettings settings;
    settings.requiretls = true;
    return settings;
  }
  // A second user, who may send `TLS-Required: No`.
  std::string lax_user() {
    const auto file = world_.folder() / "lax";
    std::ofstream(file) << Relay::kPassword << "\n";
    std::filesystem::permissions(file, std::filesystem::perms(0600));
    return "\n[[user]]\nname = \"lax\"\npassword_file = \"" + file.string() +
           "\"\nsenders = [\"@sender.test\"]\ntls_required_no = true\n";
  }
  static std::string not_required() { return "TLS-Required: No\r\n" + canary_message(); }
};

TEST_F(Requiretls, IsOfferedUnderTlsOnly) {
  start();
  SmtpClient client(relay_->submission());
  EXPECT_FALSE(client.command("EHLO client.test").has_line("REQUIRETLS"));
  EXPECT_EQ(client.command("MAIL FROM:<shop@sender.test> REQUIRETLS").code / 100, 5);
  ASSERT_TRUE(client.starttls());
  EXPECT_TRUE(client.command("EHLO client.test").has_line("REQUIRETLS"));
}

TEST_F(Requiretls, GoesToAnAuthenticatedMxThatOffersItAndAsksThere) {
  add_enforce(world_, offering());
  start();
  EXPECT_EQ(submit_with("REQUIRETLS").code, 250);
  const auto mail = world_.journal().wait_for_mail_to("bob@d.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->tls.on);
  EXPECT_NE(mail->parameters.find("REQUIRETLS"), std::string::npos) << mail->parameters;
}

TEST_F(Requiretls, IsMetByDaneBehindASecureMxRecord) {
  CertificateSpec nameless;
  const Identity identity = self_signed(nameless);
  MxSettings settings = offering();
  settings.tls.identity = identity;
  world_.add_simple_domain(kDomain, settings);
  world_.dns().set_secure(kDomain, true);
  world_.dns().add("_" + std::to_string(world_.mx_port()) + "._tcp.mx.d.test", "TLSA",
                   "3 1 1 " + tlsa_association(identity.chain_pem, 1, 1));
  start();
  EXPECT_EQ(submit_with("REQUIRETLS").code, 250);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@d.test")) << relay_->transcript();
}

TEST_F(Requiretls, BouncesWithTheHeaderAloneWhereTheMxDoesNotOfferIt) {
  add_enforce(world_);
  start();
  EXPECT_EQ(submit_with("REQUIRETLS RET=FULL").code, 250);
  EXPECT_NE(bounce().find("Status: 5.7.30"), std::string::npos);
  expect_no_mail_command(kTheMx);
}

TEST_F(Requiretls, BouncesWhereNothingVouchesForTheMx) {
  world_.add_simple_domain(kDomain, offering());
  start();
  EXPECT_EQ(submit_with("REQUIRETLS RET=FULL").code, 250);
  EXPECT_NE(bounce().find("Status: 5.7.10"), std::string::npos);
  expect_no_mail_command(kTheMx);
}

TEST_F(Requiretls, WaitsWhereTheCertificateMayYetBeMended) {
  auto settings = untrusted(world_);
  settings.requiretls = true;
  add_enforce(world_, settings);
  start({{"delivery.retry", "[\"1h\"]"}});
  EXPECT_EQ(submit_with("REQUIRETLS").code, 250);
  const auto line = wait_for_end("bob@d.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_TRUE((*line)["enhanced"].starts_with("4.7.")) << line->text();
  expect_no_mail_command(kTheMx);
}

// What an attacker says before TLS is forgotten: an offer of REQUIRETLS among it is none.
TEST_F(Requiretls, IsNotMetByAnOfferThatWasMadeBeforeTls) {
  add_enforce(world_);
  auto& box = world_.interpose(kTheMx, {});
  start();
  ASSERT_EQ(relay_->run({"check", kDomain}).code, 0) << relay_->transcript();
  const auto ehlo = box.to_clients().find("250-");
  ASSERT_NE(ehlo, std::string::npos);
  Tampering offer;
  offer.injections = {{Tampering::Way::to_client, ehlo, "250-REQUIRETLS\r\n"}};
  box.set(offer);
  EXPECT_EQ(submit_with("REQUIRETLS").code, 250);
  EXPECT_NE(bounce().find("Status: 5.7.30"), std::string::npos);
  EXPECT_NE(box.to_clients().find("250-REQUIRETLS"), std::string::npos) << "nobody was attacked";
  expect_no_mail_command(kTheMx);
}

TEST_F(Requiretls, IsNotLoweredByTlsRequiredNo) {
  add_enforce(world_);
  start({}, lax_user());
  EXPECT_EQ(submit_with("REQUIRETLS", not_required(), "lax").code, 250);
  EXPECT_NE(bounce().find("Status: 5.7.30"), std::string::npos);
}

TEST_F(Requiretls, NoOfAUserWhoMayDeliversAllTheSameAndCountsInNoReport) {
  add_enforce(world_, untrusted(world_));
  start({}, lax_user());
  EXPECT_EQ(submit_with("", not_required(), "lax").code, 250);
  const auto mail = world_.journal().wait_for_mail_to("bob@d.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->tls.on);
  ASSERT_TRUE(wait_for_end("bob@d.test", "delivered"));
  // The ledger is behind by a second at most: a session that counts shows that it has caught up.
  world_.add_simple_domain("other.test");
  submit({"bob@other.test"});
  const std::vector<Counted> other = {{"no-policy-found", 1, 0, {}}};
  EXPECT_EQ(wait_for_counts("other.test", other), other);
  EXPECT_TRUE(counts(kDomain).empty());
}

TEST_F(Requiretls, NoOfAUserWhoMayNotChangesNothing) {
  add_enforce(world_, untrusted(world_));
  start({{"delivery.retry", "[\"1h\"]"}}, lax_user());
  EXPECT_EQ(submit_with("", not_required()).code, 250);
  const auto line = wait_for_end("bob@d.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "4.7.5") << line->text();
  EXPECT_TRUE(world_.journal().mails().empty());
}

}  // namespace
}  // namespace holdfast::world
