// The relay as a whole, by seeds. HOLDFAST_SEEDS and HOLDFAST_FIRST_SEED say which; HOLDFAST_TRACE shows all
// that happens.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>

#include "tests/simulation/run.h"

namespace holdfast::simulation {
namespace {

int number_from(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

std::string all(const Outcome& outcome) {
  std::string text;
  for (const auto& failure : outcome.verdicts.failures) text += failure + "\n";
  return text + "the last lines:\n" + outcome.tail;
}

constexpr int kSeedsPerTest = 10;  // a process each: its start costs as much as a seed

class Simulation : public testing::TestWithParam<int> {};

TEST_P(Simulation, KeepsEveryPromise) {
  const int first = GetParam();
  const int end = std::min(first + kSeedsPerTest,
                           number_from("HOLDFAST_FIRST_SEED", 0) + number_from("HOLDFAST_SEEDS", 200));
  for (int seed = first; seed < end; ++seed) {
    const Outcome outcome = simulate(static_cast<std::uint64_t>(seed));
    EXPECT_TRUE(outcome.verdicts.failures.empty()) << "seed " << seed << "\n" << all(outcome);
    std::printf(
        "seed %d hash %016llx lines %llu lives %d letters %llu delivered %llu failed %llu notices %llu "
        "strict %llu sessions %llu reports %llu doubts %llu\n",
        seed, static_cast<unsigned long long>(outcome.hash), static_cast<unsigned long long>(outcome.lines),
        outcome.lives, static_cast<unsigned long long>(outcome.verdicts.letters),
        static_cast<unsigned long long>(outcome.verdicts.delivered),
        static_cast<unsigned long long>(outcome.verdicts.bounced),
        static_cast<unsigned long long>(outcome.verdicts.notices),
        static_cast<unsigned long long>(outcome.verdicts.strict_passages),
        static_cast<unsigned long long>(outcome.verdicts.sessions),
        static_cast<unsigned long long>(outcome.verdicts.reports),
        static_cast<unsigned long long>(outcome.verdicts.doubts));
  }
}

TEST(SimulationItself, DoesTheSameForTheSameSeed) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Outcome one = simulate(seed), two = simulate(seed);
    EXPECT_EQ(one.hash, two.hash) << "seed " << seed;
    EXPECT_EQ(one.lines, two.lines) << "seed " << seed;
    EXPECT_GT(one.lines, 100u) << "seed " << seed;
    EXPECT_NE(one.hash, simulate(seed + 1).hash) << "seed " << seed;
  }
}

// Keys, addresses in memory and the time of day are another process's own.
TEST(SimulationItself, DoesTheSameInAnotherProcess) {
  constexpr int kSeeds = 4;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "HOLDFAST_FIRST_SEED=0 HOLDFAST_SEEDS=" + std::to_string(kSeeds) + " '" +
                              program + "' --gtest_filter='Seeds/*'";
  const std::unique_ptr<FILE, int (*)(FILE*)> other(::popen(command.c_str(), "r"), ::pclose);
  ASSERT_TRUE(other);
  std::map<int, std::uint64_t> theirs;
  std::array<char, 1000> line;
  while (std::fgets(line.data(), line.size(), other.get()) != nullptr) {
    int seed = 0;
    unsigned long long hash = 0;
    if (std::sscanf(line.data(), "seed %d hash %llx", &seed, &hash) == 2) theirs[seed] = hash;
  }
  ASSERT_EQ(theirs.size(), static_cast<std::size_t>(kSeeds));
  for (const auto& [seed, hash] : theirs)
    EXPECT_EQ(simulate(static_cast<std::uint64_t>(seed)).hash, hash) << "seed " << seed;
}

// An oracle that cannot fail proves nothing: each of these breaks one promise, and some seed must show it.
struct PlantedFault {
  Plant plant;
  const char* name;
  std::vector<std::string> noticed_by;  // any of them
};
void PrintTo(const PlantedFault& fault, std::ostream* out) { *out << fault.name; }

class Planted : public testing::TestWithParam<PlantedFault> {};

TEST_P(Planted, IsNoticed) {
  std::string seen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    for (const auto& failure : simulate(seed, GetParam().plant).verdicts.failures) {
      seen += failure + "\n";
      for (const auto& words : GetParam().noticed_by)
        if (failure.starts_with(words)) return;
    }
  }
  FAIL() << "nothing was noticed, but:\n" << seen.substr(0, 4000);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, Planted,
    testing::Values(
        PlantedFault{Plant::planner_ignores_policy, "PlannerIgnoresPolicy", {"invariant 13", "invariant 14"}},
        PlantedFault{Plant::store_forgets_accepts, "StoreForgetsAccepts", {"invariant 1:"}},
        PlantedFault{Plant::store_forgets_ends, "StoreForgetsEnds", {"invariant 7", "invariant 8"}},
        PlantedFault{Plant::store_loses_notices, "StoreLosesNotices", {"no notification"}},
        PlantedFault{Plant::ledger_counts_twice, "LedgerCountsTwice", {"invariant 39"}},
        PlantedFault{
            Plant::cache_forgets_policies, "CacheForgetsPolicies", {"invariant 13", "invariant 14"}}),
    [](const auto& param) { return std::string(param.param.name); });

INSTANTIATE_TEST_SUITE_P(Seeds, Simulation,
                         testing::Range(number_from("HOLDFAST_FIRST_SEED", 0),
                                        number_from("HOLDFAST_FIRST_SEED", 0) +
                                            number_from("HOLDFAST_SEEDS", 200),
                                        kSeedsPerTest));

}  // namespace
}  // namespace holdfast::simulation
