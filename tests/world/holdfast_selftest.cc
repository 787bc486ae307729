// holdfast-selftest BINARY CONFIG — what `holdfast selftest` runs: every attack of attacks.h against that
// binary, in a small internet on loopback, under the policy settings of that configuration.
//
// Exit code 0: the relay held on to its mail under each; 1: it did not; 78: the configuration is faulty.
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <sstream>

#include "tests/world/attacks.h"
#include "tests/world/process.h"

namespace holdfast::world {
namespace {

// The keys that decide about TLS and that a relay in the test world can take over. Where it listens, whom it
// trusts and whom it asks is the world's.
constexpr const char* kTaken[] = {"delivery.tls", "sts.mode", "sts.max_policy_size", "dane.mode"};

// `config show` prints "[section]" and "key = value".
std::map<std::string, std::string> settings_of(const std::string& shown) {
  std::map<std::string, std::string> found;
  std::istringstream lines(shown);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1);
    const auto equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    const std::string name = section + "." + line.substr(0, equals);
    for (const char* taken : kTaken)
      if (name == taken) found[name] = line.substr(equals + 3);
  }
  return found;
}

// What is set for the operator's relay must not lead the world's relay out of its world.
void clear_environment() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (text.starts_with("HOLDFAST_")) names.emplace_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
}

int test(const std::string& binary, const std::string& config) {
  const auto shown = run_process({binary, "config", "show", "-c", config});
  if (shown.code != 0) {
    std::fputs(shown.err.c_str(), stderr);
    return 78;
  }
  AttackRun run;
  run.binary = binary;
  run.settings = settings_of(shown.out);
  clear_environment();
  if (isatty(STDERR_FILENO) == 1) {
    std::fputs("starting a small internet on loopback", stderr);
    run.told = [](std::size_t judged, std::size_t of) {
      const std::string bar = std::string(24 * judged / of, '#') + std::string(24 - 24 * judged / of, '-');
      std::fprintf(stderr, "\r\033[K[%s] %zu of %zu attacks", bar.c_str(), judged, of);
    };
  }
  std::size_t leaks = 0;
  const auto results = run_attacks(run);
  if (run.told) std::fputs("\r\033[K", stderr);
  for (const AttackResult& result : results) {
    leaks += result.held ? 0 : 1;
    std::printf("%-6s  %-30s  %s\n        %s\n", result.held ? "held" : "FAILED", result.name.c_str(),
                result.about.c_str(), result.how.c_str());
  }
  std::printf("%zu of %zu attacks were held off\n", results.size() - leaks, results.size());
  return leaks == 0 && !results.empty() ? 0 : 1;
}

}  // namespace
}  // namespace holdfast::world

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: holdfast-selftest BINARY CONFIG\n", stderr);
    return 64;
  }
  try {
    return holdfast::world::test(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "holdfast-selftest: %s\n", error.what());
    return 1;
  }
}
