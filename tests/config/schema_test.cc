#include "config/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "config/reference.h"
#include "tests/config/loaded_text.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(Schema, EveryDefaultIsWithinItsOwnBounds) {
  for (const Section& section : schema()) {
    Settings settings = default_settings();
    if (section.array) section.append(settings);
    void* part = section.part(settings, 0);
    for (const Key& key : section.keys) {
      if (key.required || std::holds_alternative<OtherValue>(key.fallback)) continue;
      EXPECT_EQ(key.set(part, key.fallback), "") << section.name << "." << key.name;
      if (!key.get) continue;
      // "24h" may come back as "1d": what is printed must mean the same.
      const ConfigValue printed = key.get(part);
      EXPECT_EQ(key.set(part, printed), "") << section.name << "." << key.name;
      EXPECT_EQ(key.get(part), printed) << section.name << "." << key.name << " does not come back";
    }
  }
}

TEST(Schema, EveryKeyExplainsItself) {
  std::set<std::string> seen;
  for (const Section& section : schema()) {
    EXPECT_FALSE(section.sentence.empty()) << section.name;
    for (const Key& key : section.keys) {
      EXPECT_TRUE(seen.insert(section.name + "." + key.name).second) << "twice: " << key.name;
      EXPECT_FALSE(key.sentence.empty()) << key.name;
      EXPECT_FALSE(key.form.empty()) << key.name;
      EXPECT_FALSE(key.required && key.example.empty()) << key.name;
    }
  }
}

TEST(Schema, EveryKeyRefusesATypeThatIsNotItsOwn) {
  for (const Section& section : schema()) {
    Settings settings = default_settings();
    if (section.array) section.append(settings);
    for (const Key& key : section.keys)
      EXPECT_NE(key.set(section.part(settings, 0), OtherValue{"a table"}), "")
          << section.name << "." << key.name;
  }
}

// settings.h is read as text: a struct's member without a key would never be set by anyone.
TEST(Schema, EveryMemberOfTheSettingsHasItsKey) {
  std::ifstream in("config/settings.h");
  ASSERT_TRUE(in) << "tests run from the source directory";
  std::stringstream text;
  text << in.rdbuf();
  const std::map<std::string, std::string> sections = {
      {"RuntimeSettings", "runtime"},     {"ListenerSettings", "listener"}, {"ServerTlsSettings", "tls"},
      {"TrustSettings", "trust"},         {"AuthSettings", "auth"},         {"UserSettings", "user"},
      {"LimitsSettings", "limits"},       {"DnsSettings", "dns"},           {"EgressSettings", "egress"},
      {"DeliverySettings", "delivery"},   {"SourceSettings", "source"},     {"RouteSettings", "route"},
      {"ExceptionSettings", "exception"}, {"StsSettings", "sts"},           {"DaneSettings", "dane"},
      {"TlsrptSettings", "tlsrpt"},       {"DkimSettings", "dkim"},         {"QueueSettings", "queue"},
      {"AdminSettings", "admin"},         {"LogSettings", "log"},           {"ShutdownSettings", "shutdown"}};
  const std::regex begins(R"(struct (\w+Settings) \{)");
  const std::regex member(R"(^  [\w:<>]+ (\w+)( = [\w:]+|\{0\})?;)");
  std::string line, section;
  std::size_t structs = 0, members = 0;
  while (std::getline(text, line)) {
    std::smatch found;
    if (std::regex_search(line, found, begins)) {
      ASSERT_TRUE(sections.contains(found[1])) << found[1] << " has no section";
      section = sections.at(found[1]);
      ++structs;
    } else if (line == "};") {
      section.clear();
    } else if (!section.empty() && std::regex_search(line, found, member)) {
      const Section* known = find_section(section);
      ASSERT_TRUE(known);
      ++members;
      const std::string name = found[1];
      EXPECT_TRUE(known->find(name) || known->find(name + "_file"))
          << section << "." << name << " has no key";
    }
  }
  EXPECT_EQ(structs, sections.size());
  EXPECT_GT(members, 80U);
}

TEST(Reference, LoadsAsItStandsToTheDefaults) {
  const ConfigDirectory dir;
  const Loaded reference_loaded = dir.load(reference());
  ASSERT_THAT(dir.lines(reference_loaded.errors), IsEmpty());
  EXPECT_THAT(reference_loaded.warnings, IsEmpty());
  const std::string shown = show(reference_loaded, false);
  const Loaded bare = dir.load("hostname = \"relay.example.com\"\n");
  EXPECT_EQ(shown, show(bare, false));
}

TEST(Reference, NamesEveryKey) {
  const std::string text = reference(), table = markdown_table();
  for (const Section& section : schema()) {
    for (const Key& key : section.keys) {
      EXPECT_THAT(text, HasSubstr(key.name + " = "));
      EXPECT_THAT(table, HasSubstr("`" + (section.name.empty() ? "" : section.name + ".") + key.name + "`"));
    }
  }
}

TEST(Reference, ItsExamplesLoadToo) {
  const ConfigDirectory dir;
  std::string text = reference();
  for (std::size_t at; (at = text.find("\n# ")) != std::string::npos;) text.replace(at, 3, "\n");
  // The header's sentences are no TOML, and the examples fill alternatives side by side.
  text.erase(0, text.find("hostname = "));
  dir.write("app", "secret\n");
  for (const char* drop : {"password_file = ", "username = ", "mx = "}) {
    const std::size_t at = text.find(std::string("\n") + drop);
    ASSERT_NE(at, std::string::npos) << drop;
    text.erase(at + 1, text.find('\n', at + 1) - at);
  }
  for (std::size_t at = text.find("password_hash = \"\""); at != std::string::npos; at = std::string::npos)
    text.replace(
        at, 18,
        "password_hash = \"$y$j75$pmDyRB4HxnWmFVDSFEK0o/$AWR41jYZ1oYVqRMMuJxaNVYJdtDvCcBOVYeBTm0eQ.0\"");
  const Loaded loaded = dir.load(text);
  EXPECT_THAT(dir.lines(loaded.errors), IsEmpty()) << text;
}

TEST(Show, OfDefaultsLoadsToTheSameSettings) {
  const ConfigDirectory dir;
  const Loaded first = dir.load("hostname = \"relay.example.com\"\n");
  const std::string shown = show(first, false);
  const Loaded second = dir.load(shown);
  ASSERT_THAT(dir.lines(second.errors), IsEmpty());
  EXPECT_EQ(show(second, false), shown);
  EXPECT_THAT(shown, HasSubstr("users_file = \"/var/lib/holdfast/users\""));
}

TEST(Show, OfAFullConfigurationLoadsToTheSameSettings) {
  const ConfigDirectory dir;
  const auto secret = dir.write("secret", "pw\n").string();
  const std::string text = R"(hostname = "relay.example.com"
[[user]]
name = "app"
password_file = "secret"
senders = ["@example.com", "quote\"d@example.com"]
[[route]]
senders = ["@example.com"]
via = ["mx:corp.example", "tls://[2001:db8::1]:4650"]
[[exception]]
domain = "partner.example"
allow = ["bad-certificate"]
reason = "a \"quoted\" reason \\ with\ttabs"
until = 2026-12-01
[queue]
min_free_space = "2.5%"
)";
  const Loaded first = dir.load(text);
  ASSERT_THAT(dir.lines(first.errors), IsEmpty());
  const Loaded second = dir.load(show(first, false));
  ASSERT_THAT(dir.lines(second.errors), IsEmpty());
  EXPECT_EQ(show(second, false), show(first, false));
  EXPECT_EQ(second.settings->users[0].password, "pw");
  EXPECT_EQ(second.settings->exceptions[0].reason, "a \"quoted\" reason \\ with\ttabs");
}

TEST(Show, MasksSecretsAndNamesOrigins) {
  const ConfigDirectory dir;
  const std::string hash = "$y$j75$pmDyRB4HxnWmFVDSFEK0o/$AWR41jYZ1oYVqRMMuJxaNVYJdtDvCcBOVYeBTm0eQ.0";
  const Loaded loaded = dir.load(
      "hostname = \"relay.example.com\"\n[[user]]\nname = \"a\"\nsenders = [\"*\"]\npassword_hash = \"" +
          hash + "\"\n",
      {{"HOLDFAST_ADMIN__TOKEN", "t0ken"}, {"HOLDFAST_DELIVERY__PORT", "2525"}});
  ASSERT_THAT(dir.lines(loaded.errors), IsEmpty());
  const std::string shown = show(loaded, true);
  EXPECT_THAT(shown, testing::Not(HasSubstr(hash)));
  EXPECT_THAT(shown, testing::Not(HasSubstr("t0ken")));
  EXPECT_THAT(shown, HasSubstr("********"));
  EXPECT_THAT(shown, testing::ContainsRegex("port = 2525 +# environment HOLDFAST_DELIVERY__PORT\n"));
  EXPECT_THAT(shown, testing::ContainsRegex("name = \"a\" +# .*holdfast.toml:3:1\n"));
  EXPECT_THAT(shown, testing::ContainsRegex("ip = \"auto\" +# default\n"));
}

}  // namespace
}  // namespace holdfast
