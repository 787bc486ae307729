#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "config/users_file.h"
#include "mta/cli/dns_records.h"
#include "queue/dkim_key.h"
#include "tests/config/loaded_text.h"
#include "tests/mta/run_holdfast.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

unsigned mode_of(const std::filesystem::path& file) {
  struct stat info {};
  return ::stat(file.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
}

class Init : public testing::Test {
 protected:
  Ran init(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"init", (dir_.path() / "etc").string()});
    return run_holdfast(dir_.path(), arguments);
  }
  ConfigDirectory dir_;
  const std::filesystem::path etc_ = dir_.path() / "etc";
};

TEST_F(Init, WritesAConfigurationThatChecksAUserAndKeys) {
  const Ran ran = init({"--hostname", "relay.example.com", "--domain", "example.com", "--domain",
                        "example.org", "--user", "app", "--organization", "Example \"Inc\"", "--address",
                        "203.0.113.7", "--mx", "mx.example.com"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Ran check = run_holdfast(dir_.path(), {"config", "check", "-c", (etc_ / "holdfast.toml").string()});
  EXPECT_EQ(check.code, 0) << check.err;
  const std::string config = read(etc_ / "holdfast.toml");
  EXPECT_THAT(config, HasSubstr("hostname = \"relay.example.com\""));
  EXPECT_THAT(config, HasSubstr("organization = \"Example \\\"Inc\\\"\""));

  const UsersFile users = parse_users(read(etc_ / "data/users"));
  ASSERT_EQ(users.users.size(), 1U);
  EXPECT_THAT(users.users[0].senders, testing::ElementsAre("@example.com", "@example.org"));
  std::string password = read(etc_ / "app.password");
  ASSERT_TRUE(password.ends_with('\n'));
  password.pop_back();
  EXPECT_EQ(password.size(), 24U);
  EXPECT_TRUE(verify_password(users.users[0].password_hash, password));
  EXPECT_EQ(mode_of(etc_ / "app.password"), 0600U);
  EXPECT_EQ(mode_of(etc_ / "data"), 0700U);
  EXPECT_EQ(mode_of(etc_ / "data/dkim/example.com/holdfast.pem"), 0600U);
  EXPECT_THAT(ran.out + ran.err, Not(HasSubstr(password)));

  const std::string record = DkimKey::load(etc_ / "data/dkim/example.org/holdfast.pem")->record().value();
  EXPECT_THAT(record, testing::StartsWith("v=DKIM1; k=rsa; p=MIIBIjANBgkq"));
  EXPECT_THAT(ran.out, HasSubstr("holdfast._domainkey.example.org. IN TXT " + txt_data(record) + "\n"));
  EXPECT_THAT(ran.err, HasSubstr("holdfast dns check -c " + (etc_ / "holdfast.toml").string()));
  EXPECT_THAT(ran.out, HasSubstr("relay.example.com. IN A 203.0.113.7\n"));
  EXPECT_THAT(ran.out, HasSubstr("7.113.0.203.in-addr.arpa. IN PTR relay.example.com.\n"));
  EXPECT_THAT(ran.out, HasSubstr("example.com. IN TXT \"v=spf1 a:relay.example.com -all\"\n"));
  EXPECT_THAT(
      ran.out,
      HasSubstr("_smtp._tls.example.org. IN TXT \"v=TLSRPTv1; rua=mailto:postmaster@example.com\"\n"));
  EXPECT_THAT(ran.out, testing::ContainsRegex("_mta-sts.example.com. IN TXT \"v=STSv1; id=[0-9]+\"\n"));
  EXPECT_THAT(ran.out, HasSubstr(";   mx: mx.example.com\n"));
}

TEST_F(Init, ChangesNothingWhereAConfigurationIs) {
  dir_.write("etc/holdfast.toml", "mine\n");
  const Ran ran = init({"--hostname", "relay.example.com", "--domain", "example.com"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(read(etc_ / "holdfast.toml"), "mine\n");
  EXPECT_FALSE(std::filesystem::exists(etc_ / "data"));
}

TEST_F(Init, KeepsAKeyThatIsThere) {
  const auto key = DkimKey::generate(DkimAlgorithm::ed25519_sha256).value();
  const auto file = etc_ / "data/dkim/example.com/holdfast.pem";
  ASSERT_TRUE(key.save(file));
  const std::string before = read(file);
  const Ran ran = init({"--hostname", "relay.example.com", "--domain", "example.com"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(read(file), before);
  EXPECT_THAT(ran.out, HasSubstr(key.record().value()));
}

TEST_F(Init, SaysWhichAnswerIsMissingOrWrong) {
  EXPECT_EQ(init({}).code, 64);
  EXPECT_THAT(init({}).err, HasSubstr("--hostname"));
  EXPECT_THAT(init({"--hostname", "relay.example.com"}).err, HasSubstr("--domain"));
  EXPECT_EQ(init({"--hostname", "two words", "--domain", "example.com"}).code, 64);
  EXPECT_EQ(init({"--hostname", "relay.example.com", "--domain", "../etc"}).code, 64);
  EXPECT_EQ(init({"--hostname", "relay.example.com", "--domain", "example.com", "--address", "here"}).code,
            64);
  EXPECT_EQ(init({"--hostname", "relay.example.com", "--domain", "example.com", "--user", "a/b"}).code, 64);
  EXPECT_FALSE(std::filesystem::exists(etc_ / "holdfast.toml"));
}

TEST_F(Init, InternationalDomainsBecomeALabels) {
  const Ran ran = init({"--hostname", "relay.example.com", "--domain", "b\u00fccher.example"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\n_smtp._tls.xn--bcher-kva.example. IN TXT"));
}

TEST(DnsRecords, ReverseNamesOfBothFamilies) {
  EXPECT_EQ(reverse_name("203.0.113.7"), "7.113.0.203.in-addr.arpa.");
  EXPECT_EQ(reverse_name("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.");
  EXPECT_EQ(reverse_name("nonsense"), "");
}

TEST(DnsRecords, LongTextsAreStringsOf255Octets) {
  EXPECT_EQ(txt_data("short"), "\"short\"");
  EXPECT_EQ(txt_data(""), "\"\"");
  EXPECT_EQ(txt_data(std::string(256, 'x')), "\"" + std::string(255, 'x') + "\" \"x\"");
}

// The script runs in a real bash, as a user's shell would run it.
TEST(Completion, AnswersInARealShell) {
  const ConfigDirectory dir;
  if (!std::filesystem::exists("/bin/bash")) GTEST_SKIP() << "bash is missing";
  dir.write("completion", run_holdfast(dir.path(), {"completion", "bash"}).out);
  dir.write("try",
            "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _holdfast; echo "
            "\"${COMPREPLY[*]}\"\n");
  const auto complete = [&](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {(dir.path() / "try").string(), (dir.path() / "completion").string(), "holdfast"});
    return run_holdfast(dir.path(), words, "", {{"PATH", "/usr/bin:/bin"}}, "/bin/bash").out;
  };
  EXPECT_EQ(complete({"qu"}), "queue\n");
  EXPECT_EQ(complete({"queue", "re"}), "retry release remove\n");
  EXPECT_EQ(complete({"queue", "list", "--s"}), "--socket --state\n");
  EXPECT_EQ(complete({"sts", "show", "--json", "--so"}), "--socket\n");
  EXPECT_EQ(complete({"serve", "-c", (dir.path() / "compl").string()}),
            (dir.path() / "completion").string() + "\n");
}

}  // namespace
}  // namespace holdfast
