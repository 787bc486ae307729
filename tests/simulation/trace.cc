#include "tests/simulation/trace.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace holdfast::simulation {
namespace {

constexpr std::size_t kKept = 20'000;  // lines: a whole seed, mostly

}  // namespace

Trace::Trace(const Clock& clock)
    : clock_(clock), start_(clock.now()), loud_(std::getenv("HOLDFAST_TRACE") != nullptr) {}

void Trace::add(std::string_view what, std::string_view detail) {
  const auto at = std::chrono::duration_cast<std::chrono::microseconds>(clock_.now() - start_).count();
  std::string line = fmt::format("{:>12.6f} {} {}", static_cast<double>(at) / 1e6, what, detail);
  for (const char c : line) {  // FNV-1a
    hash_ ^= static_cast<unsigned char>(c);
    hash_ *= 1099511628211ULL;
  }
  ++lines_;
  if (loud_) std::fprintf(stderr, "%s\n", line.c_str());
  kept_.push_back(std::move(line));
  if (kept_.size() > kKept) kept_.pop_front();
}

std::string Trace::tail(std::size_t most) const {
  std::string out;
  for (std::size_t i = kept_.size() - std::min(most, kept_.size()); i < kept_.size(); ++i)
    out += kept_[i].substr(0, 400) + "\n";
  return out;
}

std::string Trace::about(std::string_view text, std::size_t most) const {
  std::string out;
  for (const auto& line : kept_) {
    if (line.find(text) == std::string::npos) continue;
    out += line.substr(0, 400) + "\n";
    if (--most == 0) break;
  }
  return out;
}

}  // namespace holdfast::simulation
