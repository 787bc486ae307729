// smtp/base/random.h — randomness as an argument, so that tests and the simulation own it.
#pragma once

#include <cstdint>
#include <memory>

namespace holdfast {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;  // uniform over 64 bits, from the system's generator in production
  // Uniform over [0, bound); 0 when bound is 0.
  std::uint64_t below(std::uint64_t bound);
  double unit();  // uniform over [0, 1)
};

std::unique_ptr<Random> make_system_random();

}  // namespace holdfast
