// Every mistake is named with its place and what mends it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/load_lines.h"

namespace holdfast::loading {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

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

TEST(Load, AMistakeInConfDNamesThatFile) {
  const ConfigDirectory dir;
  dir.write("conf.d/10.toml", "[sts]\nmodus = \"off\"\n");
  EXPECT_THAT(dir.lines(dir.load(host).errors),
              ElementsAre("conf.d/10.toml:2:1: sts.modus: no such key; did you mean \"mode\"?"));
}

}  // namespace
}  // namespace holdfast::loading
