// tests/simulation/dice.h — the one source of chance of a seed.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "smtp/base/random.h"

namespace holdfast::simulation {

class Dice final : public Random {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t next() override { return engine_(); }
  bool chance(double percent) { return unit() * 100 < percent; }
  // Uniform over [low, high].
  int between(int low, int high) {
    return low + static_cast<int>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  template <class T>
  const T& one_of(const std::vector<T>& these) {
    return these[below(these.size())];
  }
  template <class T>
  T& one_of(std::vector<T>& these) {
    return these[below(these.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace holdfast::simulation
