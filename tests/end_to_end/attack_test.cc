// Each attack of tests/world/attacks.h against the real relay, and the program that runs them for operators.
#include <algorithm>
#include <fstream>

#include "tests/end_to_end/end_to_end.h"
#include "tests/world/attacks.h"

namespace holdfast::world {
namespace {

class AttackOn : public testing::TestWithParam<std::string> {};

TEST_P(AttackOn, TheRelayMakesItHoldOnToItsMail) {
  AttackRun run;
  run.binary = HOLDFAST_BINARY;
  run.only = GetParam();
  for (const AttackResult& result : run_attacks(run)) EXPECT_TRUE(result.held) << result.how;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Attack& attack : attacks()) all.push_back(attack.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(List, AttackOn, testing::ValuesIn(names()), [](const auto& attack) {
  std::string name = attack.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class Selftest : public testing::Test {
 protected:
  ProcessEnd run(const std::string& settings, const std::vector<std::string>& environment = {}) {
    const auto file = folder_.path() / "holdfast.toml";
    std::ofstream(file) << "hostname = \"relay.test\"\ndata_dir = \"" << folder_.path().string() << "\"\n"
                        << settings;
    return run_process({HOLDFAST_BINARY, "selftest", "-c", file.string()}, Milliseconds(110000), environment);
  }
  TempDir folder_;
};

TEST_F(Selftest, PassesForASoundConfiguration) {
  const auto end = run("");
  EXPECT_EQ(end.code, 0) << end.out << end.err;
  EXPECT_NE(end.out.find("held    starttls-stripped"), std::string::npos) << end.out;
}

// As in a container, whose environment says where the relay's resolver is.
TEST_F(Selftest, IsNotLedOutOfItsWorldByTheEnvironmentButHeedsItsPolicy) {
  const auto end = run("", {"HOLDFAST_DNS__SERVERS=127.0.0.1:1", "HOLDFAST_STS__MODE=observe"});
  EXPECT_NE(end.out.find("FAILED  starttls-stripped"), std::string::npos) << end.out;
  EXPECT_NE(end.out.find("held    tlsa-mismatch"), std::string::npos) << end.out;
}

TEST_F(Selftest, FailsForAConfigurationThatOnlyObserves) {
  const auto end = run("[sts]\nmode = \"observe\"\n");
  EXPECT_EQ(end.code, 1) << end.out << end.err;
  EXPECT_NE(end.out.find("FAILED  starttls-stripped"), std::string::npos) << end.out;
  EXPECT_NE(end.out.find("held    tlsa-mismatch"), std::string::npos) << end.out;
}

}  // namespace
}  // namespace holdfast::world
