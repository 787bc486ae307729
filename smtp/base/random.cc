#include "smtp/base/random.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace holdfast {
namespace {

// One system call for 32 numbers. Per thread, so that workers do not meet.
std::uint64_t next_of_thread() {
  thread_local std::array<std::uint64_t, 32> pool;  // 256 octets: getrandom gives those whole or not at all
  thread_local std::size_t left = 0;
  if (left == 0) {
    ssize_t got = 0;
    do {
      got = ::getrandom(pool.data(), sizeof pool, 0);
    } while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof pool))
      throw std::system_error(errno, std::generic_category(), "getrandom");
    left = pool.size();
  }
  return std::exchange(pool[--left], 0);  // used numbers do not stay in memory
}

class SystemRandom final : public Random {
 public:
  std::uint64_t next() override { return next_of_thread(); }
};

}  // namespace

std::uint64_t Random::below(std::uint64_t bound) {
  if (bound == 0) return 0;
  // Numbers under the threshold would make the small remainders likelier.
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t value = next();
    if (value >= threshold) return value % bound;
  }
}

double Random::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

std::unique_ptr<Random> make_system_random() { return std::make_unique<SystemRandom>(); }

}  // namespace holdfast
