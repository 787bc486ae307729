#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/published_settings.h"
#include "tests/config/loaded_text.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string host = "hostname = \"relay.example.com\"\n";
const std::string hash = "$y$j75$pmDyRB4HxnWmFVDSFEK0o/$AWR41jYZ1oYVqRMMuJxaNVYJdtDvCcBOVYeBTm0eQ.0";

TEST(Load, AHostnameIsEnough) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load(host);
  ASSERT_THAT(dir.lines(loaded.errors), IsEmpty());
  EXPECT_THAT(loaded.warnings, IsEmpty());
  const Settings& s = *loaded.settings;
  EXPECT_EQ(s.hostname, "relay.example.com");
  EXPECT_EQ(s.postmaster, "postmaster@relay.example.com");
  EXPECT_EQ(s.tlsrpt.contact, "postmaster@relay.example.com");
  EXPECT_EQ(s.tlsrpt.organization, "relay.example.com");
  EXPECT_EQ(s.auth.users_file, "/var/lib/holdfast/users");
  EXPECT_EQ(s.dkim.key_dir, "/var/lib/holdfast/dkim");
  EXPECT_EQ(s.admin.socket, "/var/lib/holdfast/admin.sock");
  ASSERT_EQ(s.listeners.size(), 1U);
  EXPECT_EQ(s.listeners[0].bind.text(), "[::]:587");
  EXPECT_EQ(s.listeners[0].mode, ListenerMode::submission);
  EXPECT_EQ(s.delivery.retry, (std::vector<Millis>{5min, 15min, 30min, 1h, 2h, 4h}));
  EXPECT_EQ(s.limits.message_size, 26214400U);
  EXPECT_EQ(s.auth.max_failures, (Rate{10, 10min}));
  EXPECT_EQ(s.sts.mode, PolicyMode::enforce);
}

TEST(Load, EverySectionIsRead) {
  const ConfigDirectory dir;
  const auto secret = dir.write("secret", "s3cret\n").string();
  const Loaded loaded = dir.load(host + R"(
[[listener]]
bind = "127.0.0.1:0"
mode = "trusted"
min_rate = "1KiB/s"
[[listener]]
bind = "[::1]:465"
mode = "submissions"
[auth]
trusted_networks = ["10.0.0.0/8", "::1"]
[[user]]
name = "app"
password_file = "secret"
senders = ["@example.com"]
messages = "2000/h"
[[user]]
name = "hashed"
password_hash = ")" + hash + R"("
senders = ["*"]
[[route]]
recipients = ["*.corp.example"]
via = ["mx.corp.example", "mx:corp.example", "tls://smart.example", "[2001:db8::1]:2525"]
username = "u"
password_file = ")" + secret + R"("
min_version = "1.2"
ciphers = ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
[[exception]]
mx = "mx.partner.example"
allow = ["bad-certificate", "no-starttls"]
reason = "ticket"
until = 2026-12-01
[[source]]
address = "203.0.113.7"
hostname = "out1.example.com"
[queue]
min_free_space = "1GiB"
[admin]
http = ""
)");
  ASSERT_THAT(dir.lines(loaded.errors), IsEmpty());
  const Settings& s = *loaded.settings;
  ASSERT_EQ(s.listeners.size(), 2U);
  EXPECT_EQ(s.listeners[0].mode, ListenerMode::trusted);
  EXPECT_EQ(s.listeners[0].min_rate, 1024U);
  EXPECT_EQ(s.listeners[1].max_connections, 1000U);
  ASSERT_EQ(s.users.size(), 2U);
  EXPECT_EQ(s.users[0].password, "s3cret");
  EXPECT_EQ(s.users[0].messages, (Rate{2000, 1h}));
  EXPECT_EQ(s.users[1].password_hash, hash);
  ASSERT_EQ(s.routes.size(), 1U);
  ASSERT_EQ(s.routes[0].via.size(), 4U);
  EXPECT_EQ(s.routes[0].via[0].target, (HostPort{"mx.corp.example", 25}));
  EXPECT_EQ(s.routes[0].via[1].kind, NextHop::Kind::mx);
  EXPECT_TRUE(s.routes[0].via[2].implicit_tls);
  EXPECT_EQ(s.routes[0].via[2].target.port, 465);
  EXPECT_EQ(s.routes[0].password, "s3cret");
  EXPECT_EQ(s.routes[0].min_version, "1.2");
  EXPECT_THAT(s.routes[0].ciphers,
              ElementsAre("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"));
  EXPECT_EQ(s.exceptions[0].until, std::chrono::sys_days(std::chrono::year(2026) / 12 / 1));
  EXPECT_EQ(s.queue.min_free_space.bytes, 1073741824U);
  EXPECT_FALSE(s.admin.http);
  EXPECT_THAT(dir.lines(loaded.warnings), ElementsAre(HasSubstr("no name that a certificate could prove")));
}

struct Mistake {
  const char* text;
  const char* message;
};

class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreNamedWithPlaceAndRemedy) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load(host + GetParam().text);
  EXPECT_FALSE(loaded.settings);
  EXPECT_THAT(dir.lines(loaded.errors), ElementsAre(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Load, Mistakes,
    testing::Values(
        Mistake{"[delivery]\nexpier = \"5d\"\n",
                R"(holdfast.toml:3:1: delivery.expier: no such key; did you mean "expire"?)"},
        Mistake{"[delivery]\ncertificate = \"x\"\n",
                "holdfast.toml:3:1: delivery.certificate: no such key here; it belongs under [tls]"},
        Mistake{"[delivery]\nhostname = \"x\"\n",
                "holdfast.toml:3:1: delivery.hostname: no such key here; write it before the first table"},
        Mistake{"[delivery]\nqwertzuiop = 1\n",
                "holdfast.toml:3:1: delivery.qwertzuiop: no such key; `holdfast config reference` lists all"},
        Mistake{"[delivry]\nport = 1\n",
                "holdfast.toml:2:2: delivry: no such table; did you mean [delivery]?"},
        Mistake{"[listeners]\n", "holdfast.toml:2:2: listeners: no such table; did you mean [[listener]]?"},
        Mistake{"[listener]\nbind = \"[::]:587\"\n",
                "holdfast.toml:2:2: listener: write its header as [[listener]]"},
        Mistake{"[[delivery]]\nport = 25\n", "holdfast.toml:2:1: delivery: write its header as [delivery]"},
        Mistake{"sts = \"enforce\"\n",
                "holdfast.toml:2:1: sts: this is a table; write its keys below the line [sts]"},
        Mistake{
            "[delivery]\nexpire = \"5 days\"\n",
            R"(holdfast.toml:3:1: delivery.expire: "5 days" is not a time; write a number and ms, s, m, h, d or w, such as "5m")"},
        Mistake{"[delivery]\nexpire = \"90d\"\n",
                R"(holdfast.toml:3:1: delivery.expire: "90d" is out of bounds; write 1m to 30d)"},
        Mistake{"[delivery]\nexpire = 5\n",
                "holdfast.toml:3:1: delivery.expire: expected a text in quotes (1m to 30d); found a number"},
        Mistake{"[delivery]\nport = \"25\"\n",
                "holdfast.toml:3:1: delivery.port: expected a whole number from 1 to 65535, without quotes; "
                "found a text"},
        Mistake{"[delivery]\nport = 0\n",
                "holdfast.toml:3:1: delivery.port: 0 is out of bounds; write 1 to 65535"},
        Mistake{"[delivery]\nport = 2.5\n",
                "holdfast.toml:3:1: delivery.port: expected a whole number from 1 to 65535, without quotes; "
                "found a number with a fraction"},
        Mistake{
            "[delivery]\nretry = \"5m\"\n",
            R"(holdfast.toml:3:1: delivery.retry: expected a list of texts, such as ["one", "two"]; found a text)"},
        Mistake{
            "[delivery]\nretry = [5]\n",
            R"(holdfast.toml:3:1: delivery.retry: expected a list of texts, such as ["one", "two"]; found a list of something else than texts)"},
        Mistake{"[delivery]\nretry = []\n",
                R"(holdfast.toml:3:1: delivery.retry: is empty; write at least one time, such as ["15m"])"},
        Mistake{"[delivery]\nretry = [\"0\"]\n",
                R"(holdfast.toml:3:1: delivery.retry: "0" is out of bounds; write 1s to 7d)"},
        Mistake{
            "[delivery]\nrate_per_mx = \"600\"\n",
            R"(holdfast.toml:3:1: delivery.rate_per_mx: "600" is not a rate; write a count and a time, such as "2000/h" or "10/10m")"},
        Mistake{"[delivery]\ntls = \"none\"\n",
                R"(holdfast.toml:3:1: delivery.tls: "none" is not one of opportunistic, required)"},
        Mistake{"[sts]\nmode = \"on\"\n",
                R"(holdfast.toml:3:1: sts.mode: "on" is not one of enforce, observe, off)"},
        Mistake{
            "[limits]\nmessage_size = \"25MB\"\n",
            R"(holdfast.toml:3:1: limits.message_size: "25MB" is not a size; write a number and B, KiB, MiB, GiB or TiB, such as "25MiB")"},
        Mistake{
            "[limits]\nhide_client = \"yes\"\n",
            "holdfast.toml:3:1: limits.hide_client: expected true or false, without quotes; found a text"},
        Mistake{"[queue]\nengine = \"postgres\"\n",
                R"(holdfast.toml:3:1: queue.engine: "postgres" is not one of sqlite)"},
        Mistake{
            "[queue]\nmin_free_space = \"100%\"\n",
            R"(holdfast.toml:3:1: queue.min_free_space: "100%" is no reserve; write "5%" (0% to 99%) or a size such as "1GiB")"},
        Mistake{
            "[dns]\nservers = [\"::1\"]\n",
            R"(holdfast.toml:3:1: dns.servers: "::1" is no name server; write "127.0.0.1", "127.0.0.1:5353", "[::1]:53" or "resolver:53")"},
        Mistake{
            "[egress]\nallow = [\"10.0.0.1/8\"]\n",
            R"(holdfast.toml:3:1: egress.allow: "10.0.0.1/8" is not a network; write "192.0.2.0/24", "2001:db8::/32" or one address (no host bits))"},
        Mistake{"[auth]\nmechanisms = [\"plain\"]\n",
                R"(holdfast.toml:3:1: auth.mechanisms: "plain" is not one of PLAIN, LOGIN, SCRAM-SHA-256)"},
        Mistake{"[auth]\nmechanisms = []\n",
                R"(holdfast.toml:3:1: auth.mechanisms: is empty; write ["PLAIN", "LOGIN"])"},
        Mistake{"[tls]\nmin_version = \"1.1\"\n",
                R"(holdfast.toml:3:1: tls.min_version: "1.1" is not one of 1.2, 1.3)"},
        Mistake{
            "[tls]\nif_missing = \"fail\"\n",
            R"(holdfast.toml: listener[0].mode: needs TLS, and tls.if_missing is "fail"; set tls.certificate and tls.private_key)"},
        Mistake{"[trust]\nca_file = \"/nonexistent/ca.pem\"\n",
                "holdfast.toml:3:1: trust.ca_file: the file /nonexistent/ca.pem does not exist or cannot be "
                "read"},
        Mistake{
            "[tlsrpt]\ncontact = \"tls\"\n",
            R"(holdfast.toml:3:1: tlsrpt.contact: "tls" is not a mail address; write it as "name@example.com")"},
        Mistake{
            "[admin]\nhttp = \"0.0.0.0:8080\"\n",
            R"(holdfast.toml:3:1: admin.http: "0.0.0.0:8080" is not on loopback; set admin.token_file, or write "127.0.0.1:8080")"},
        Mistake{"[admin]\ntoken_file = \"/nonexistent/token\"\n",
                "holdfast.toml:3:1: admin.token_file: the file /nonexistent/token cannot be used: No such "
                "file or directory"},
        Mistake{
            "[[listener]]\nbind = \"587\"\n",
            R"(holdfast.toml:3:1: listener[0].bind: "587" is no address to listen on; write "[::]:587", "0.0.0.0:587" or "127.0.0.1:587")"},
        Mistake{
            "[[listener]]\nbind = \"127.0.0.1\"\n",
            R"(holdfast.toml:3:1: listener[0].bind: "127.0.0.1" is no address to listen on; write "[::]:587", "0.0.0.0:587" or "127.0.0.1:587")"},
        Mistake{"[[listener]]\nmode = \"trusted\"\n",
                "holdfast.toml:3:1: listener[0].mode: a trusted listener serves only auth.trusted_networks, "
                "and that is empty; name the networks there"},
        Mistake{
            "[[listener]]\n[[listener]]\n",
            R"(holdfast.toml:3:1: listener[1].bind: "[::]:587" is listened on twice; remove one of them)"},
        Mistake{
            "[[user]]\nname = \"a b\"\npassword_hash = "
            "\"$y$j75$pmDyRB4HxnWmFVDSFEK0o/$AWR41jYZ1oYVqRMMuJxaNVYJdtDvCcBOVYeBTm0eQ.0\"\nsenders = []\n",
            R"(holdfast.toml:3:1: user[0].name: "a b" is no user name; write printable characters without spaces or "=")"},
        Mistake{"[[user]]\nname = \"a\"\nsenders = [\"*\"]\n",
                "holdfast.toml:2:1: user[0].password_file: is missing; name a file with the password, or "
                "write password_hash"},
        Mistake{"[[user]]\nname = \"a\"\nsenders = [\"*\"]\npassword_file = \"/nonexistent/a\"\n",
                "holdfast.toml:5:1: user[0].password_file: the file /nonexistent/a cannot be used: No such "
                "file or directory"},
        Mistake{"[[user]]\nname = \"a\"\nsenders = [\"*\"]\npassword_hash = \"clear\"\n",
                "holdfast.toml:5:1: user[0].password_hash: not a crypt hash; make one by `mkpasswd -m "
                "yescrypt`, or use password_file for a clear password"},
        Mistake{
            "[[route]]\nrecipients = [\"*\"]\n",
            R"(holdfast.toml:2:1: route[0].via: is missing; write via = ["mx.corp.example:25"] (where it goes; several fail over))"},
        Mistake{
            "[[route]]\nvia = [\"mx.example\"]\n",
            R"(holdfast.toml:2:1: route[0].recipients: is missing; say which recipients or senders take this route ("*" for all))"},
        Mistake{"[[route]]\nrecipients = [\"*\"]\nvia = []\n",
                R"(holdfast.toml:4:1: route[0].via: is empty; write it as ["mx.corp.example:25"])"},
        Mistake{
            "[[route]]\nrecipients = [\"*\"]\nvia = [\"mx:192.0.2.1\"]\n",
            R"(holdfast.toml:4:1: route[0].via: "mx:192.0.2.1" is no next hop; write "host:25", "mx:domain" or "tls://host:465")"},
        Mistake{
            "[[route]]\nrecipients = [\"*\"]\nvia = [\"mx.example\"]\nciphers = "
            "[\"AES128-GCM-SHA256:@SECLEVEL=0\"]\n",
            R"(holdfast.toml:5:1: route[0].ciphers: "AES128-GCM-SHA256:@SECLEVEL=0" could lower what TLS asks; write whole names, such as "ECDHE-RSA-AES256-GCM-SHA384")"},
        Mistake{
            "[[route]]\nrecipients = [\"*\"]\nvia = [\"mx.example\"]\nciphers = [\"aNULL\"]\n",
            R"(holdfast.toml:5:1: route[0].ciphers: "aNULL" could lower what TLS asks; write whole names, such as "ECDHE-RSA-AES256-GCM-SHA384")"},
        Mistake{
            "[[route]]\nrecipients = [\"*\"]\nvia = [\"mx.example\"]\nciphers = [\"RC4-MD5\"]\n",
            R"(holdfast.toml:5:1: route[0].ciphers: "RC4-MD5" is no cipher of TLS 1.2 that is taken; write OpenSSL's names, such as "ECDHE-RSA-AES256-GCM-SHA384")"},
        Mistake{"[[source]]\naddress = \"here\"\nhostname = \"out.example\"\n",
                R"(holdfast.toml:3:1: source[0].address: "here" is not an IP address)"},
        Mistake{
            "[[exception]]\ndomain = \"a.example\"\nallow = [\"all\"]\nreason = \"r\"\nuntil = 2026-12-01\n",
            R"(holdfast.toml:4:1: exception[0].allow: "all" is not one of bad-certificate, no-starttls)"},
        Mistake{"[[exception]]\nallow = [\"no-starttls\"]\nreason = \"r\"\nuntil = 2026-12-01\n",
                "holdfast.toml:2:1: exception[0].domain: is missing; write domain or mx"},
        Mistake{"[[exception]]\ndomain = \"a.example\"\nmx = \"b.example\"\nallow = "
                "[\"no-starttls\"]\nreason = \"r\"\nuntil = 2026-12-01\n",
                "holdfast.toml:4:1: exception[0].mx: stands beside domain; keep one of them"},
        Mistake{"[[exception]]\ndomain = \"a.example\"\nallow = [\"no-starttls\"]\nreason = \"r\"\nuntil = "
                "2026-11-20\n",
                "holdfast.toml:6:1: exception[0].until: 2026-11-20 is past: this exception holds no more; "
                "remove it or renew it"},
        Mistake{"[[exception]]\ndomain = \"a.example\"\nallow = [\"no-starttls\"]\nreason = \"r\"\nuntil = "
                "2026-12-22\n",
                "holdfast.toml:6:1: exception[0].until: 2026-12-22 is more than 30 days ahead; write "
                "2026-12-21 or earlier"},
        Mistake{"[[exception]]\ndomain = \"a.example\"\nallow = [\"no-starttls\"]\nreason = \"r\"\nuntil = "
                "\"soon\"\n",
                "holdfast.toml:6:1: exception[0].until: expected a date, such as 2026-12-01; found a text"},
        Mistake{"data_dir = \"\"\n",
                "holdfast.toml:2:1: data_dir: is empty; write the directory that holds the queue"}));

TEST(Load, AMissingHostnameIsNamed) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load("");
  EXPECT_THAT(dir.lines(loaded.errors),
              ElementsAre("holdfast.toml: hostname: is missing; write hostname = \"relay.example.com\" (the "
                          "name this relay says in EHLO; its address's PTR should say it too)"));
}

TEST(Load, AllMistakesAreFoundAtOnce) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load("hostnam = \"x\"\n[dns]\ntimeout = 1\n[sts]\nmode = \"on\"\nport = 4\n");
  EXPECT_EQ(loaded.errors.size(), 5U) << testing::PrintToString(dir.lines(loaded.errors));
}

TEST(Load, WhatIsNotTomlIsNamedWithItsPlace) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load("hostname = \"x\n");
  ASSERT_EQ(loaded.errors.size(), 1U);
  EXPECT_THAT(dir.lines(loaded.errors)[0], HasSubstr("holdfast.toml:1:"));
  EXPECT_THAT(dir.lines(loaded.errors)[0], HasSubstr("not valid TOML"));
}

TEST(Load, ATableNeedsAName) {
  const ConfigDirectory dir;
  for (const std::string header : {"[=a]", "[]", "[[=a]]", "[[]]", "[ ]", "[.a]", "[", "[[", "\xcb\x99[a]"}) {
    const Loaded loaded = dir.load(host + header + "\n");
    ASSERT_EQ(loaded.errors.size(), 1U) << header;
    EXPECT_THAT(dir.lines(loaded.errors)[0], HasSubstr("not valid TOML")) << header;
  }
}

TEST(Load, TakesNoControlCharacters) {
  const ConfigDirectory dir;
  for (const std::string& bad : {std::string("[\0", 2), std::string("# \x1b[2J"), std::string("\x7f")}) {
    const Loaded loaded = dir.load(host + bad + "\n");
    ASSERT_EQ(loaded.errors.size(), 1U) << bad;
    EXPECT_THAT(dir.lines(loaded.errors)[0], HasSubstr("holdfast.toml:2:"));
    EXPECT_THAT(dir.lines(loaded.errors)[0], HasSubstr("a control character"));
  }
}

TEST(Load, AMissingFileIsNamed) {
  const ConfigDirectory dir;
  EXPECT_THAT(dir.lines(dir.load_again().errors),
              ElementsAre("holdfast.toml: cannot be read: No such file or directory"));
}

TEST(Load, LaterSourcesWinAndArraysGrow) {
  const ConfigDirectory dir;
  const std::string user = "\"\npassword_hash = \"" + hash + "\"\nsenders = [\"*\"]\n";
  dir.write("conf.d/20-more.toml", "[[user]]\nname = \"c" + user + "[delivery]\nport = 2020\n");
  dir.write("conf.d/10-some.toml",
            "[[user]]\nname = \"b" + user + "[delivery]\nport = 1010\n[sts]\nmode = \"observe\"\n");
  dir.write("conf.d/not-toml.txt", "nonsense");
  const Loaded loaded = dir.load(host + "[[user]]\nname = \"a" + user + "[delivery]\nport = 26\nip = \"4\"\n",
                                 {{"HOLDFAST_STS__MODE", "off"}, {"PATH", "/bin"}});
  ASSERT_THAT(dir.lines(loaded.errors), IsEmpty());
  EXPECT_EQ(loaded.settings->delivery.port, 2020);
  EXPECT_EQ(loaded.settings->delivery.ip, IpFamily::v4);
  EXPECT_EQ(loaded.settings->sts.mode, PolicyMode::off);
  ASSERT_EQ(loaded.settings->users.size(), 3U);
  EXPECT_EQ(loaded.settings->users[2].name, "c");
  EXPECT_EQ(loaded.origins.at({"sts", 0, "mode"}).print(), "environment HOLDFAST_STS__MODE");
  EXPECT_EQ(loaded.origins.at({"delivery", 0, "port"}).line, 6U);
  EXPECT_THAT(dir.lines(loaded.warnings), ElementsAre("environment HOLDFAST_STS__MODE: sts.mode: is off: "
                                                      "mail leaves without regard to MTA-STS policies"));
}

TEST(Load, WarnsOfARouteWhoseHostCanProveNothing) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load(
      "hostname = \"relay.example\"\n[[route]]\nrecipients = [\"a.example\"]\nvia = [\"192.0.2.1:25\"]\n"
      "[[route]]\nrecipients = [\"b.example\"]\nvia = [\"192.0.2.1:25\"]\ntls = \"required\"\n");
  EXPECT_THAT(
      dir.lines(loaded.warnings),
      ElementsAre("holdfast.toml:4:1: route[0].via: 192.0.2.1:25 has no name that a certificate could prove: "
                  "all its mail will wait; name the host, or lower the route's tls"));
}

// In a process of its own, as nobody: root may read everything.
[[noreturn]] void load_as_nobody(const ConfigDirectory& dir) {
  if (::geteuid() == 0 && ::setuid(65534) != 0) std::_Exit(2);
  const Loaded loaded = dir.load_again();
  const std::string wanted =
      "holdfast.toml:4:1: tls.private_key: the file key.pem cannot be read by this user: Permission denied; "
      "give it "
      "to the relay's user or group";
  const auto lines = dir.lines(loaded.errors);
  for (const auto& line : lines) std::fputs((line + "\n").c_str(), stderr);
  std::_Exit(lines == std::vector<std::string>{wanted} ? 0 : 1);
}

TEST(Load, AKeyThatTheRelaysUserMayNotReadIsAMistake) {
  const ConfigDirectory dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  const auto cert = dir.write("cert.pem", "-", 0644), key = dir.write("key.pem", "-", 0);
  dir.write("holdfast.toml",
            "hostname = \"relay.example\"\n[tls]\ncertificate = \"" + cert.string() + "\"\nprivate_key = \"" +
                key.string() + "\"\n",
            0644);
  EXPECT_EXIT(load_as_nobody(dir), testing::ExitedWithCode(0), "");
}

TEST(Load, AMistakeInConfDNamesThatFile) {
  const ConfigDirectory dir;
  dir.write("conf.d/10.toml", "[sts]\nmodus = \"off\"\n");
  EXPECT_THAT(dir.lines(dir.load(host).errors),
              ElementsAre("conf.d/10.toml:2:1: sts.modus: no such key; did you mean \"mode\"?"));
}

TEST(Load, TheEnvironmentSetsEveryKind) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load("", {{"HOLDFAST_HOSTNAME", "env.example.com"},
                                      {"HOLDFAST_LIMITS__HIDE_CLIENT", "true"},
                                      {"HOLDFAST_DELIVERY__PORT", "2525"},
                                      {"HOLDFAST_DNS__SERVERS", "unbound, 127.0.0.1:5353"},
                                      {"HOLDFAST_DATA_DIR", "data"},
                                      {"HOLDFAST_LISTENER__0__BIND", "127.0.0.1:2587"},
                                      {"HOLDFAST_USER__0__NAME", "app"},
                                      {"HOLDFAST_USER__0__PASSWORD", "s3cret"},
                                      {"HOLDFAST_USER__0__SENDERS", "@a.example,@b.example"}});
  ASSERT_THAT(dir.lines(loaded.errors), IsEmpty());
  const Settings& s = *loaded.settings;
  EXPECT_EQ(s.hostname, "env.example.com");
  EXPECT_TRUE(s.limits.hide_client);
  EXPECT_EQ(s.delivery.port, 2525);
  EXPECT_EQ(s.dns.servers, (std::vector<std::string>{"unbound", "127.0.0.1:5353"}));
  EXPECT_EQ(s.data_dir, dir.path() / "data") << "relative paths start from the configuration";
  EXPECT_EQ(s.listeners[0].bind.port, 2587);
  EXPECT_EQ(s.users[0].password, "s3cret");
  EXPECT_EQ(s.users[0].senders.size(), 2U);
}

TEST(Load, MistakesInTheEnvironmentNameTheVariable) {
  const ConfigDirectory dir;
  const auto message = [&](const char* name, const char* value) {
    const auto lines = dir.lines(dir.load(host, {{name, value}}).errors);
    return lines.size() == 1 ? lines[0] : testing::PrintToString(lines);
  };
  EXPECT_EQ(message("HOLDFAST_STS__MODUS", "off"),
            "environment HOLDFAST_STS__MODUS: sts.modus: no such key; did you mean \"mode\"?");
  EXPECT_EQ(message("HOLDFAST_STSS__MODE", "off"),
            "environment HOLDFAST_STSS__MODE: stss: no such section; did you mean \"sts\"?");
  EXPECT_EQ(message("HOLDFAST_DELIVERY__PORT", "x"),
            "environment HOLDFAST_DELIVERY__PORT: delivery.port: expected a whole number from 1 to 65535, "
            "without quotes; found a text");
  EXPECT_EQ(message("HOLDFAST_USER__1__NAME", "x"),
            "environment HOLDFAST_USER__1__NAME: user: write the element's number between double "
            "underscores, from 0 without gaps: HOLDFAST_USER__0__NAME");
  EXPECT_EQ(message("HOLDFAST_USER__NAME", "x"),
            "environment HOLDFAST_USER__NAME: user: write the element's number between double underscores, "
            "from 0 without gaps: HOLDFAST_USER__0__NAME");
}

TEST(Load, VariablesThatOthersSetAreIgnored) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load(
      host, {{"HOLDFAST_SERVICE_HOST", "10.0.0.1"}, {"HOLDFAST_PORT_587_TCP", "tcp://10.0.0.1:587"}});
  EXPECT_THAT(loaded.errors, IsEmpty());
  EXPECT_THAT(loaded.warnings, IsEmpty());
  EXPECT_THAT(
      dir.lines(dir.load(host, {{"HOLDFAST_HOSTNAM", "x"}}).warnings),
      ElementsAre("environment HOLDFAST_HOSTNAM: is ignored: no such key; did you mean \"hostname\"?"));
}

TEST(Load, SecretsComeFromFilesWithoutTheirLastLineEnd) {
  const ConfigDirectory dir;
  const auto token = dir.write("token", "t0ken\r\n").string();
  const auto hashed = dir.write("hash", hash + "\n").string();
  const std::string user = "[[user]]\nname = \"a\"\nsenders = [\"*\"]\n";
  const Loaded loaded =
      dir.load(host + "[admin]\nhttp = \"0.0.0.0:8080\"\n" + user,
               {{"HOLDFAST_ADMIN__TOKEN_FILE", token}, {"HOLDFAST_USER__0__PASSWORD_HASH_FILE", hashed}});
  ASSERT_THAT(dir.lines(loaded.errors), IsEmpty());
  EXPECT_EQ(loaded.settings->admin.token, "t0ken");
  EXPECT_EQ(loaded.settings->users[0].password_hash, hash);
  const Loaded by_file = dir.load(host + user + "password_file = \"hash\"\n");
  ASSERT_THAT(dir.lines(by_file.errors), IsEmpty());
  EXPECT_EQ(by_file.settings->users[0].password_hash, hash) << "a password file may hold the hash";
  EXPECT_EQ(by_file.settings->users[0].password, "");
}

TEST(Load, ASecretThatOthersMayReadIsAWarning) {
  const ConfigDirectory dir;
  const auto token = dir.write("token", "t\n", 0644);
  const Loaded loaded = dir.load(host + "[admin]\ntoken_file = \"token\"\n");
  ASSERT_TRUE(loaded.settings);
  EXPECT_THAT(
      dir.lines(loaded.warnings),
      testing::Contains("holdfast.toml:3:1: admin.token_file: others may read token; run chmod 600 on it"));
}

TEST(Load, EmptyAndManyLineSecretsAreErrors) {
  const ConfigDirectory dir;
  dir.write("empty", "\n");
  dir.write("lines", "one\ntwo\n");
  EXPECT_THAT(dir.lines(dir.load(host + "[admin]\ntoken_file = \"empty\"\n").errors),
              ElementsAre("holdfast.toml:3:1: admin.token_file: the file empty cannot be used: is empty"));
  EXPECT_THAT(
      dir.lines(dir.load(host + "[admin]\ntoken_file = \"lines\"\n").errors),
      ElementsAre(
          "holdfast.toml:3:1: admin.token_file: the file lines cannot be used: has more than one line"));
}

TEST(Load, TwoUsersOfOneNameAreAnError) {
  const ConfigDirectory dir;
  const std::string user = "[[user]]\nname = \"a\"\nsenders = [\"*\"]\npassword_hash = \"" + hash + "\"\n";
  EXPECT_THAT(
      dir.lines(dir.load(host + user + user).errors),
      ElementsAre("holdfast.toml:7:1: user[1].name: the user \"a\" stands here twice; remove one of them"));
}

TEST(Load, ARoutePasswordGoesOnlyToAVerifiedPeer) {
  const ConfigDirectory dir;
  dir.write("pw", "x\n");
  const std::string route = "[[route]]\nrecipients = [\"*\"]\nvia = [\"mx.example\"]\n";
  EXPECT_THAT(
      dir.lines(
          dir.load(host + route + "username = \"u\"\npassword_file = \"pw\"\ntls = \"required\"\n").errors),
      ElementsAre("holdfast.toml:7:1: route[0].tls: must be \"verify\" with a username: else the password "
                  "could go to anyone"));
  EXPECT_THAT(dir.lines(dir.load(host + route + "username = \"u\"\n").errors),
              ElementsAre("holdfast.toml:2:1: route[0].password_file: is missing beside username"));
}

TEST(Load, ACertificateThatIsMissingIsAWarningWhereOneCanBeMade) {
  const ConfigDirectory dir;
  const std::string pair = "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n";
  const Loaded loaded = dir.load(host + pair);
  EXPECT_TRUE(loaded.settings);
  EXPECT_EQ(loaded.warnings.size(), 2U);
  EXPECT_EQ(dir.load(host + pair + "if_missing = \"fail\"\n").errors.size(), 2U);
  EXPECT_THAT(dir.lines(dir.load(host + "[tls]\ncertificate = \"cert.pem\"\n").errors),
              ElementsAre("holdfast.toml:3:1: tls.certificate: needs tls.private_key beside it"));
}

TEST(PublishedSettings, KeepsOldSnapshotsAlive) {
  const auto first = std::make_shared<const Settings>();
  PublishedSettings published(first);
  const SettingsPtr held = published.current();
  published.publish(std::make_shared<const Settings>());
  EXPECT_EQ(held, first);
  EXPECT_NE(published.current(), first);
}

TEST(Nearest, SuggestsOnlyWhatIsNear) {
  EXPECT_EQ(edit_distance("expier", "expire"), 1U) << "two neighbours swapped";
  EXPECT_EQ(nearest("modus", {"mode", "https_port"}), "mode");
  EXPECT_EQ(nearest("qqqq", {"mode", "https_port"}), "");
}

}  // namespace
}  // namespace holdfast
