// Mail clients and a mail server that we did not write submit to the relay: each over STARTTLS and over
// implicit TLS, with each mechanism that it knows, verifying our certificate. What they send arrives octet by
// octet.
#include <fstream>
#include <ostream>

#include "tests/end_to_end/end_to_end.h"
#include "tests/end_to_end/postfix.h"

namespace holdfast::world {
namespace {

constexpr const char* kScripts = HOLDFAST_SOURCE_DIR "/tests/end_to_end/clients/";
constexpr const char* kNodePath = "/usr/share/nodejs";
constexpr const char* kServerUser = "mailserver";  // may use addresses of its own host too, as bounces do

// What a careless client or relay would change: dots, blanks, 8-bit text, long lines, and "From ".
std::string body_text() {
  return ".a dot first\r\n.\r\n..two dots\r\nblanks behind  \r\n\tand a tab before\r\n\r\n\r\nFrom here "
         "on\r\n"
         "gr\xC3\xBC\xC3\x9F Gott \xE2\x82\xAC\r\n" +
         std::string(900, 'x') + "\r\n=3D is no code here\r\nthe last line\r\n";
}

std::string message_text() {
  return "From: Shop <shop@sender.test>\r\nTo: bob@receiver.test\r\nSubject: by a client\r\n"
         "Date: Sun, 22 Nov 2026 01:00:00 +0000\r\nMessage-ID: <client-1@sender.test>\r\nMIME-Version: "
         "1.0\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
         body_text();
}

struct Client {
  const char* name;
  std::vector<std::string> command;  // before the arguments; tests/end_to_end/clients/README.md
  std::string program;               // without which there is no such client here
  std::vector<std::string> mechanisms;
};

const std::vector<Client>& clients() {
  static const std::vector<Client> all = {
      {"Swaks", {std::string(kScripts) + "swaks.sh"}, "/usr/bin/swaks", {"PLAIN", "LOGIN"}},
      {"Smtplib",
       {"/usr/bin/python3", std::string(kScripts) + "smtplib_client.py"},
       "/usr/bin/python3",
       {"PLAIN", "LOGIN"}},
      {"Curl", {std::string(kScripts) + "curl.sh"}, "/usr/bin/curl", {"PLAIN", "LOGIN"}},
      {"Msmtp", {std::string(kScripts) + "msmtp.sh"}, "/usr/bin/msmtp", {"PLAIN", "LOGIN", "SCRAM-SHA-256"}},
      {"Nodemailer",
       {"node", std::string(kScripts) + "nodemailer.js"},
       std::string(kNodePath) + "/nodemailer/package.json",
       {"PLAIN", "LOGIN"}},
  };
  return all;
}

class ClientTest : public EndToEnd {
 protected:
  // A relay with a certificate that can be verified, and this one mechanism.
  void start_with(const std::string& mechanism) {
    world_.add_simple_domain("receiver.test");
    CertificateSpec spec;
    spec.dns_names = {"relay.test"};
    spec.ip_names = {"127.0.0.1"};
    world_.authority().issue(spec).write_to(world_.folder() / "shown");
    const auto password = world_.folder() / "server-password";
    std::ofstream(password) << Relay::kPassword << "\n";
    std::filesystem::permissions(password, std::filesystem::perms(0600));
    std::ofstream(world_.folder() / "other-ca.pem") << world_.other_authority().root_pem();
    const auto quoted = [](const std::string& text) { return "\"" + text + "\""; };
    start({{"tls.certificate", quoted((world_.folder() / "shown/certificate.pem").string())},
           {"tls.private_key", quoted((world_.folder() / "shown/key.pem").string())},
           {"auth.mechanisms", "[" + quoted(mechanism) + "]"}},
          "\n[[listener]]\nbind = \"127.0.0.1:0\"\nmode = \"submissions\"\n\n[[user]]\nname = " +
              quoted(kServerUser) + "\npassword_file = " + quoted(password.string()) +
              "\nsenders = [\"@sender.test\", \"@.sender.test\"]\n");
    if (HasFatalFailure()) return;
    const auto line = relay_->wait_for_log({{"text", "listening"}, {"mode", "submissions"}});
    ASSERT_TRUE(line);
    const std::string address = (*line)["address"];
    implicit_port_ = address.substr(address.rfind(':') + 1);
  }

  std::string port(bool implicit) const {
    return implicit ? implicit_port_ : std::to_string(relay_->submission().port);
  }

  ProcessEnd run_client(const Client& client, bool implicit, const std::string& mechanism,
                        const std::filesystem::path& ca_file) {
    const auto message = world_.folder() / "message.eml";
    std::ofstream(message) << message_text();
    std::vector<std::string> command = client.command;
    command.insert(command.end(), {"127.0.0.1", port(implicit), implicit ? "implicit" : "starttls", mechanism,
                                   ca_file.string(), Relay::kUser, Relay::kPassword, "shop@sender.test",
                                   "bob@receiver.test", message.string()});
    return run_process(std::move(command), Milliseconds(60000),
                       {std::string("NODE_PATH=") + kNodePath, "HOME=" + world_.folder().string()});
  }

  // The message came whole, by a user who logged in under TLS.
  void expect_arrival(const std::string& to) {
    const auto mail = world_.journal().wait_for_mail_to(to, Milliseconds(30000));
    ASSERT_TRUE(mail) << relay_->transcript();
    EXPECT_TRUE(mail->content.ends_with("\r\n\r\n" + body_text())) << mail->content;
    EXPECT_NE(mail->content.find("\r\nSubject: by a client\r\n"), std::string::npos) << mail->content;
    EXPECT_NE(mail->content.find(" with ESMTPSA\r\n"), std::string::npos) << mail->content;
    EXPECT_EQ(mail->reverse_path, "shop@sender.test");
    EXPECT_FALSE(mail->bare_line_end);
  }

  std::string implicit_port_;
};

struct Way {
  Client client;
  std::string mechanism;
  bool implicit;
};

void PrintTo(const Way& way, std::ostream* out) { *out << way.client.name << " " << way.mechanism; }
void PrintTo(const Client& client, std::ostream* out) { *out << client.name; }

std::vector<Way> all_ways() {
  std::vector<Way> ways;
  for (const Client& client : clients()) {
    for (const std::string& mechanism : client.mechanisms) {
      for (const bool implicit : {false, true}) ways.push_back({client, mechanism, implicit});
    }
  }
  return ways;
}

std::string way_name(const std::string& client, const std::string& mechanism, bool implicit) {
  std::string name = client + "_" + mechanism + (implicit ? "_ImplicitTls" : "_Starttls");
  std::erase(name, '-');
  return name;
}

class AnyClient : public ClientTest, public testing::WithParamInterface<Way> {};

TEST_P(AnyClient, SubmitsAMessageThatArrivesAsItIs) {
  const Way& way = GetParam();
  if (!std::filesystem::exists(way.client.program)) GTEST_SKIP() << way.client.program << " is not installed";
  start_with(way.mechanism);
  ASSERT_FALSE(HasFatalFailure());
  const auto end = run_client(way.client, way.implicit, way.mechanism, world_.ca_file());
  ASSERT_EQ(end.code, 0) << end.out << end.err << relay_->transcript();
  expect_arrival("bob@receiver.test");
}

INSTANTIATE_TEST_SUITE_P(Ways, AnyClient, testing::ValuesIn(all_ways()), [](const auto& way) {
  return way_name(way.param.client.name, way.param.mechanism, way.param.implicit);
});

class VerifyingClient : public ClientTest, public testing::WithParamInterface<Client> {};

// Were the certificate not verified, the tests above would prove nothing about it.
TEST_P(VerifyingClient, SendsNothingToAServerThatItCannotTrust) {
  const Client& client = GetParam();
  if (!std::filesystem::exists(client.program)) GTEST_SKIP() << client.program << " is not installed";
  start_with("PLAIN");
  ASSERT_FALSE(HasFatalFailure());
  for (const bool implicit : {false, true}) {
    const auto end = run_client(client, implicit, "PLAIN", world_.folder() / "other-ca.pem");
    EXPECT_NE(end.code, 0) << end.out << end.err;
  }
  EXPECT_TRUE(relay_->log({{"event", "accepted"}}).empty()) << relay_->transcript();
}

INSTANTIATE_TEST_SUITE_P(Clients, VerifyingClient, testing::ValuesIn(clients()),
                         [](const auto& client) { return client.param.name; });

struct ServerWay {
  std::string mechanism;
  bool implicit;
};

void PrintTo(const ServerWay& way, std::ostream* out) { *out << way.mechanism; }

// Debian's Postfix with us as its relayhost.
class PostfixRelaysThroughUs : public ClientTest, public testing::WithParamInterface<ServerWay> {
 protected:
  std::string settings() const {
    const auto passwords = world_.folder() / "relay-passwords";
    const std::string us = "[127.0.0.1]:" + port(GetParam().implicit);
    std::ofstream(passwords) << us << " " << kServerUser << ":" << Relay::kPassword << "\n";
    std::string filter = GetParam().mechanism;
    std::transform(filter.begin(), filter.end(), filter.begin(),
                   [](char c) { return static_cast<char>(std::tolower(c)); });
    return "myhostname = app.sender.test\nvirtual_mailbox_domains =\nrelayhost = " + us +
           "\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = texthash:" + passwords.string() +
           "\nsmtp_sasl_security_options = noanonymous\nsmtp_sasl_mechanism_filter = " + filter +
           "\nsmtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = relay.test\nsmtp_tls_CAfile = " +
           world_.ca_file().string() + "\nsmtp_tls_wrappermode = " + (GetParam().implicit ? "yes" : "no") +
           "\ntransport_maps = inline:{nowhere.test=error:there-is-no-such-domain}\n";
  }
};

TEST_P(PostfixRelaysThroughUs, MailAndItsOwnBounces) {
  if (const auto why = Postfix::missing(); !why.empty()) GTEST_SKIP() << why;
  start_with(GetParam().mechanism);
  ASSERT_FALSE(HasFatalFailure());
  std::filesystem::permissions(world_.folder(), std::filesystem::perms(0755));  // Postfix drops root
  const Postfix postfix(world_.reserve_mx_address(), world_.authority().issue("app.sender.test"), settings());
  ASSERT_EQ(postfix.started().code, 0) << postfix.started().err << postfix.log();

  std::string message = message_text();
  std::erase(message, '\r');
  auto sent = postfix.sendmail({"-i", "-f", "shop@sender.test", "bob@receiver.test"}, message);
  ASSERT_EQ(sent.code, 0) << sent.err;
  expect_arrival("bob@receiver.test");
  if (HasFailure()) FAIL() << postfix.log();

  // Its bounce has the null reverse-path, and comes through us to the sender.
  sent = postfix.sendmail({"-i", "-f", "shop@sender.test", "bob@nowhere.test"}, message);
  ASSERT_EQ(sent.code, 0) << sent.err;
  const auto bounce = world_.journal().wait_for_mail_to("shop@sender.test", Milliseconds(30000));
  ASSERT_TRUE(bounce) << postfix.log() << relay_->transcript();
  EXPECT_EQ(bounce->reverse_path, "");
  EXPECT_NE(bounce->content.find("there-is-no-such-domain"), std::string::npos) << bounce->content;
  EXPECT_NE(bounce->content.find("<MAILER-DAEMON@app.sender.test>"), std::string::npos) << bounce->content;
}

INSTANTIATE_TEST_SUITE_P(Ways, PostfixRelaysThroughUs,
                         testing::Values(ServerWay{"PLAIN", false}, ServerWay{"PLAIN", true},
                                         ServerWay{"LOGIN", false}, ServerWay{"LOGIN", true},
                                         ServerWay{"SCRAM-SHA-256", false}, ServerWay{"SCRAM-SHA-256", true}),
                         [](const auto& way) {
                           return way_name("Postfix", way.param.mechanism, way.param.implicit);
                         });

}  // namespace
}  // namespace holdfast::world
