// The tour that mta/quickstart takes, with the programs of this build.
#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

TEST(Quickstart, ShowsWhatBecameOfAMessageToADomainOfEachKind) {
  const auto end = run_process({"/usr/bin/python3", std::string(HOLDFAST_SOURCE_DIR) + "/tests/world/tour.py",
                                "--holdfast", HOLDFAST_BINARY, "--world", HOLDFAST_WORLD_BINARY},
                               Milliseconds(100000));
  EXPECT_EQ(end.code, 0) << end.out << end.err;
  const auto line_of = [&](const std::string& domain) {
    const auto begin = end.out.find("\n" + domain);
    return begin == std::string::npos ? ""
                                      : end.out.substr(begin + 1, end.out.find('\n', begin + 1) - begin - 1);
  };
  for (const char* domain : {"nopolicy.test", "testing.test", "enforce.test"}) {
    EXPECT_NE(line_of(domain).find("  delivered  "), std::string::npos) << end.out;
  }
  for (const char* domain : {"stripped.test", "wrongcert.test", "straymx.test"}) {
    EXPECT_NE(line_of(domain).find("  deferred   "), std::string::npos) << end.out;
  }
  EXPECT_NE(line_of("enforce.test").find("TLSv1.3"), std::string::npos) << end.out;
}

}  // namespace
}  // namespace holdfast::world
