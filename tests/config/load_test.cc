// What the configuration says when it is read: its sections, and the order of its sources. Mistakes, the
// environment and secrets are in the load_*_test.cc beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/published_settings.h"
#include "tests/config/load_lines.h"

namespace holdfast::loading {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  EXPECT_THAT(dir.lines(loaded.warnings), ElementsAre(HasSubstr("corp.example:25 is reached only if"),
                                                      HasSubstr("no name that a certificate could prove")));
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

TEST(Load, WarnsOfARouteByMxThatNothingVouchesFor) {
  const ConfigDirectory dir;
  const Loaded loaded = dir.load(
      "hostname = \"relay.example\"\n[[route]]\nrecipients = [\"a.example\"]\nvia = [\"mx:b.example\"]\n"
      "[[route]]\nrecipients = [\"b.example\"]\nvia = [\"mx:b.example\"]\ntls = \"required\"\n");
  ASSERT_EQ(loaded.warnings.size(), 1U);
  EXPECT_NE(dir.lines(loaded.warnings)[0].find("route[0].via: b.example"), std::string::npos);
  EXPECT_NE(dir.lines(loaded.warnings)[0].find("is reached only if DNSSEC signs"), std::string::npos);
}

TEST(Load, WarnsOfAnExceptionThatARouteWithAPasswordDoesNotHeed) {
  const ConfigDirectory dir;
  const std::string secret = dir.write("secret", "swordfish\n").string();
  const Loaded loaded = dir.load(
      "hostname = \"relay.example\"\n[[route]]\nrecipients = [\"a.example\"]\nvia = [\"mx.b.example:25\"]\n"
      "username = \"u\"\npassword_file = \"" +
      secret +
      "\"\n"
      "[[exception]]\nmx = \"mx.b.example\"\nallow = [\"bad-certificate\"]\nreason = \"r\"\nuntil = "
      "2026-11-22\n"
      "[[exception]]\nmx = \"mx.c.example\"\nallow = [\"bad-certificate\"]\nreason = \"r\"\nuntil = "
      "2026-11-22\n");
  ASSERT_TRUE(loaded.settings) << dir.lines(loaded.errors)[0];
  EXPECT_THAT(dir.lines(loaded.warnings),
              ElementsAre(HasSubstr("exception[0].mx: does not hold for the route with username u")));
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
}  // namespace holdfast::loading
