// The short form of the fuzzers, for every build: each target sees its corpus, and mutations of it that are
// the same in every run.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutator.h"

namespace holdfast::fuzz {
namespace {

struct Target {
  const char* name;
  void (*run)(std::string_view input);
  int mutations;
};

void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

constexpr Target kTargets[] = {
#define HOLDFAST_FUZZ_TARGET(name, mutations) {#name, fuzz_##name, mutations},
#include "tests/fuzz/targets.def"
#undef HOLDFAST_FUZZ_TARGET
};

std::vector<std::string> corpus_of(const Target& target) {
  std::vector<std::filesystem::path> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(HOLDFAST_FUZZ_CORPUS) / target.name, missing))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());  // the order of a directory differs from machine to machine
  std::vector<std::string> inputs;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return inputs;
}

std::string printed(std::string_view input) {
  std::string out;
  for (const char c : input) {
    const auto octet = static_cast<unsigned char>(c);
    out += octet >= 0x20 && octet < 0x7f && c != '\\' && c != '"' ? std::string(1, c)
                                                                  : fmt::format("\\{:03o}", octet);
  }
  return '"' + out + '"';
}

// Says whether `input` broke the target, and prints it so that it can become a corpus file: printf "…" >FILE.
bool breaks(const Target& target, std::string_view input) {
  try {
    target.run(input);
    return false;
  } catch (const std::exception& error) {
    ADD_FAILURE() << target.name << ": not so: " << error.what() << "\n  input: " << printed(input);
    return true;
  }
}

class Fuzz : public testing::TestWithParam<Target> {};
INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, testing::ValuesIn(kTargets),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(Fuzz, HoldsForItsCorpusAndMutationsOfIt) {
  const Target& target = GetParam();
  const auto corpus = corpus_of(target);
  ASSERT_FALSE(corpus.empty()) << "tests/fuzz/corpus/" << target.name << " has no file";
  if (breaks(target, "")) return;
  for (const std::string& seed : corpus)
    if (breaks(target, seed)) return;
  Mutator mutator(hash_of(target.name), corpus);
  for (const std::string& seed : corpus)
    for (int i = 0; i < target.mutations; ++i)
      if (breaks(target, mutator.mutate(seed))) return;
}

TEST(FuzzCorpus, BelongsToTargets) {
  for (const auto& entry : std::filesystem::directory_iterator(HOLDFAST_FUZZ_CORPUS)) {
    const std::string folder = entry.path().filename().string();
    EXPECT_TRUE(std::any_of(std::begin(kTargets), std::end(kTargets), [&](const Target& t) {
      return folder == t.name;
    })) << folder;
  }
}

TEST(FuzzMutator, IsTheSameInEveryRun) {
  const std::vector<std::string> corpus{"250-one\r\n250 two\r\n", "x"};
  Mutator first(7, corpus), second(7, corpus), other(8, corpus);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::string made = first.mutate(corpus[0]);
    EXPECT_EQ(second.mutate(corpus[0]), made);
    differs = differs || other.mutate(corpus[0]) != made;
  }
  EXPECT_TRUE(differs);
}

TEST(FuzzTarget, ThatIsBrokenIsNoticed) {
  const auto needs_no_dot = [](std::string_view input) {
    require(input.find('.') == std::string_view::npos, "no dot");
  };
  EXPECT_NO_THROW(needs_no_dot("a"));
  EXPECT_THROW(needs_no_dot("a.b"), Broken);
}

}  // namespace
}  // namespace holdfast::fuzz
