// tests/simulation/run.h — one seed: a day and more of the relay's life in a world that goes wrong, then
// calm, then judgement. One thread, one io_context, simulated time; nothing is read from outside but the
// seed.
#pragma once

#include <cstdint>
#include <string>

#include "tests/simulation/oracles.h"

namespace holdfast::simulation {

struct Outcome {
  std::uint64_t hash = 0;   // of the trace
  std::uint64_t lines = 0;  // of it
  int lives = 0;
  Verdicts verdicts;
  std::string tail;  // the last lines of the trace, and what it says of the first failure
};

Outcome simulate(std::uint64_t seed, Plant plant = Plant::none);

}  // namespace holdfast::simulation
