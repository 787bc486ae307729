#include "tests/world/process.h"

#include <gtest/gtest.h>

namespace holdfast::world {
namespace {

TEST(Process, EndsTheTestWhenAChildWroteASanitizersReport) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto run = [](const std::string& line) {
    Process child({"sh", "-c", "echo '" + line + "' >&2; echo said; exec sleep 60"});
    child.wait_for_line([](const std::string& said) { return said == "said"; }, Milliseconds(30000));
  };
  EXPECT_DEATH(run("WARNING: ThreadSanitizer: data race (pid=1)"), "report from process .*\n.*data race");
  EXPECT_DEATH(run("==1==ERROR: AddressSanitizer: heap-use-after-free"), "heap-use-after-free");
  EXPECT_DEATH(run("a.cc:1:2: runtime error: signed integer overflow"), "signed integer overflow");
  run("a warning of another kind");
}

}  // namespace
}  // namespace holdfast::world
