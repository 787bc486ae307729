// The configuration out of the environment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/load_lines.h"

namespace holdfast::loading {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

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

}  // namespace
}  // namespace holdfast::loading
