// The program holdfast-world and the sample domains, seen from outside.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/world/relay.h"
#include "tests/world/sample_domains.h"
#include "tests/world/smtp_client.h"

namespace holdfast::world {
namespace {

TEST(HoldfastWorld, TellsItsAddressesAndReportsWhatArrives) {
  TempDir folder;
  Process program({HOLDFAST_WORLD_BINARY, "--json", "--control", "--mailbox", folder.path().string()});
  const auto first = program.wait_for_line([](const std::string&) { return true; }, Milliseconds(20000));
  ASSERT_TRUE(first) << program.errors();
  const auto ready = JsonLine::parse(*first);
  ASSERT_TRUE(ready);
  EXPECT_EQ((*ready)["event"], "ready");
  EXPECT_EQ((*ready)["domains.0.name"], "nopolicy.test");
  EXPECT_NE((*ready)["relay_config"].find("https_port = "), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists((*ready)["ca_file"]));

  const auto where = run_process({"/usr/bin/python3", "-c", R"(
import sys, dns.message, dns.query
host, port = sys.argv[1].split(':')
answer = dns.query.udp(dns.message.make_query('mx.enforce.test', 'A'), host, port=int(port), timeout=10)
print(answer.answer[0][0])
)",
                                  (*ready)["dns"]});
  if (where.code != 0) GTEST_SKIP() << "python3-dnspython is not installed";
  SmtpClient client({where.out.substr(0, where.out.find('\n')),
                     static_cast<std::uint16_t>(std::stoul((*ready)["mx_port"]))});
  client.command("EHLO client.test");
  EXPECT_EQ(client.submit("a@sender.test", {"b@enforce.test"}, "Subject: hi\r\n\r\nx\r\n").code, 250);
  const auto arrival = program.wait_for_line(
      [](const std::string& line) { return line.find("\"event\":\"mail\"") != std::string::npos; },
      Milliseconds(20000));
  ASSERT_TRUE(arrival);
  EXPECT_EQ((*JsonLine::parse(*arrival))["to.0"], "b@enforce.test");
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "1.eml"));

  program.close_input();
  EXPECT_EQ(program.wait(Milliseconds(20000)), 0);
}

TEST(HoldfastWorld, EndsAtSigterm) {
  Process program({HOLDFAST_WORLD_BINARY});
  ASSERT_TRUE(program.wait_for_line([](const std::string& line) { return line.starts_with("DNS"); },
                                    Milliseconds(20000)));
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(Milliseconds(20000)), 0);
}

TEST(HoldfastWorld, RefusesUnknownArguments) {
  EXPECT_EQ(run_process({HOLDFAST_WORLD_BINARY, "--what"}).code, 64);
}

TEST(SampleDomains, AreOfEachKindThatTheTourShows) {
  World world;
  std::vector<std::string> shown;
  for (const auto& domain : add_sample_domains(world)) {
    if (domain.in_tour) shown.push_back(domain.name);
  }
  EXPECT_EQ(shown, (std::vector<std::string>{"nopolicy.test", "testing.test", "enforce.test", "stripped.test",
                                             "wrongcert.test", "straymx.test"}));
}

}  // namespace
}  // namespace holdfast::world
