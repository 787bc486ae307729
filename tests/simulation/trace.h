// tests/simulation/trace.h — what happened, in order, and its hash: two runs of a seed give the same one.
//
// Lines are events: log events of the relay, commands and replies that the world saw, what the simulation
// did. Octets under TLS are not among them.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "smtp/base/clock.h"

namespace holdfast::simulation {

class Trace {
 public:
  explicit Trace(const Clock& clock);  // which outlives it
  void add(std::string_view what, std::string_view detail = {});
  std::uint64_t hash() const { return hash_; }
  std::uint64_t lines() const { return lines_; }
  // The last lines, at most `most`; with HOLDFAST_TRACE set all of them go to standard error as well.
  std::string tail(std::size_t most) const;
  // Those of the kept lines that hold `text`.
  std::string about(std::string_view text, std::size_t most) const;

 private:
  const Clock& clock_;
  SteadyTime start_;
  bool loud_;
  std::uint64_t hash_ = 14695981039346656037ULL;
  std::uint64_t lines_ = 0;
  std::deque<std::string> kept_;
};

}  // namespace holdfast::simulation
