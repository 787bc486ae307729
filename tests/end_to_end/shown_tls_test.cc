// What the relay shows to clients under TLS: its certificate as the files change, and what OpenSSL's own
// client finds of versions, tickets and renegotiation.
#include <fstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class ShownTls : public EndToEnd {
 protected:
  std::filesystem::path shown() const { return world_.folder() / "shown"; }

  void show(const std::string& name) { world_.authority().issue(name).write_to(shown()); }

  void start_with_certificate() {
    show("first.relay.test");
    start({{"tls.certificate", "\"" + (shown() / "certificate.pem").string() + "\""},
           {"tls.private_key", "\"" + (shown() / "key.pem").string() + "\""}});
  }

  ProcessEnd s_client(const std::vector<std::string>& more, const std::string& input = "QUIT\n") {
    std::vector<std::string> command = {"openssl",   "s_client", "-connect", relay_->submission().text(),
                                        "-starttls", "smtp",     "-CAfile",  world_.ca_file().string()};
    command.insert(command.end(), more.begin(), more.end());
    return run_process(std::move(command), Milliseconds(30000), {}, input);
  }

  bool shows(const std::string& name) {
    return s_client({"-verify_return_error", "-verify_hostname", name}).code == 0;
  }
};

TEST_F(ShownTls, ANewPairIsTakenWithoutDroppingConnections) {
  start_with_certificate();
  ASSERT_TRUE(shows("first.relay.test")) << s_client({}).out << relay_->transcript();
  SmtpClient open(relay_->submission());
  ASSERT_EQ(open.log_in(Relay::kUser, Relay::kPassword).code, 235);

  show("second.relay.test");
  const auto line = relay_->wait_for_log({{"event", "cert_reloaded"}, {"result", "ok"}}, Milliseconds(60000));
  ASSERT_TRUE(line) << relay_->transcript();
  EXPECT_TRUE(shows("second.relay.test"));
  EXPECT_EQ(open.command("NOOP").code, 250);
  EXPECT_EQ(open.submit("shop@sender.test", {"bob@sender.test"}, canary_message()).code, 250);
}

TEST_F(ShownTls, ABadPairKeepsTheOldOneAndIsTold) {
  start_with_certificate();
  std::ofstream(shown() / "key.pem") << world_.authority().issue("else.test").key_pem;
  const auto line =
      relay_->wait_for_log({{"event", "cert_reloaded"}, {"result", "kept_old"}}, Milliseconds(60000));
  ASSERT_TRUE(line) << relay_->transcript();
  EXPECT_TRUE(shows("first.relay.test"));
  const auto metrics = run_process({"curl", "--silent", "--unix-socket",
                                    (relay_->data_dir() / "admin.sock").string(), "http://relay/metrics"});
  EXPECT_NE(metrics.out.find("holdfast_certificate_reload_failures_total 1\n"), std::string::npos)
      << metrics.out << metrics.err;
}

TEST_F(ShownTls, WithoutACertificateASelfSignedOneIsShownLoudly) {
  start();
  EXPECT_NE(relay_->transcript().find("clients are shown a self-signed one"), std::string::npos);
  const auto seen = s_client({});
  EXPECT_NE(seen.out.find("self-signed certificate"), std::string::npos) << seen.out;
  EXPECT_NE(seen.out.find("CN = relay.test"), std::string::npos) << seen.out;
}

TEST_F(ShownTls, SpeaksTls12And13AndNothingOlder) {
  start_with_certificate();
  for (const char* version : {"TLSv1.2", "TLSv1.3"}) {
    const std::string option = version == std::string("TLSv1.2") ? "-tls1_2" : "-tls1_3";
    const auto seen = s_client({option});
    EXPECT_EQ(seen.code, 0) << seen.err;
    EXPECT_NE(seen.out.find(std::string("New, ") + version), std::string::npos) << seen.out;
  }
  // At security level 0, so that it is the relay that refuses.
  for (const char* option : {"-tls1_1", "-tls1"}) {
    const auto seen = s_client({option, "-cipher", "DEFAULT@SECLEVEL=0"});
    EXPECT_NE(seen.code, 0) << option << seen.out;
    EXPECT_NE((seen.out + seen.err).find("alert protocol version"), std::string::npos)
        << seen.out << seen.err;
  }
}

TEST_F(ShownTls, GivesNoSessionTicketsAndDoesNotResume) {
  start_with_certificate();
  const auto session = world_.folder() / "session.pem";
  for (const char* option : {"-tls1_2", "-tls1_3"}) {
    std::filesystem::remove(session);
    const auto first = s_client({option, "-sess_out", session.string()});
    EXPECT_EQ(first.out.find("TLS session ticket:"), std::string::npos) << first.out;
    EXPECT_EQ(first.out.find("New Session Ticket arrived"), std::string::npos) << first.out;
    if (!std::filesystem::exists(session)) continue;
    const auto second = s_client({option, "-sess_in", session.string()});
    EXPECT_EQ(second.out.find("Reused, "), std::string::npos) << second.out;
    EXPECT_NE(second.out.find("New, "), std::string::npos) << second.out;
  }
}

TEST_F(ShownTls, DoesNotRenegotiate) {
  start_with_certificate();
  // "R" on a line of its own makes s_client ask for it.
  const auto seen = s_client({"-tls1_2"}, "R\n");
  EXPECT_NE((seen.out + seen.err).find("no renegotiation"), std::string::npos) << seen.out << seen.err;
}

}  // namespace
}  // namespace holdfast::world
