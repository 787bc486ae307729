#include "tests/simulation/trace.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace holdfast::simulation {
namespace {

constexpr std::size_t kKept = 20'000;  // lines: a whole seed, mostly

constexpr std::string_view kSize = "\"size\":";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_key_octet(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/' || c == '=';
}

// Keys and certificates are made anew by each process; fingerprints of them, and the sizes of what holds
// signatures, are not part of what a seed decides.
std::string comparable(const std::string& line) {
  std::string out;
  const std::string_view all = line;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i;
    while (end < all.size() && is_key_octet(all[end])) ++end;
    const std::string_view word = all.substr(i, end - i);
    if (word.size() <= 40 && !word.starts_with("SIZE=")) out += word;
    i = end;
    if (all.substr(i).starts_with(kSize)) {
      i += kSize.size();
      while (i < all.size() && is_digit(all[i])) ++i;
    } else if (i < all.size()) {
      out += all[i++];
    }
  }
  return out;
}

}  // namespace

Trace::Trace(const Clock& clock)
    : clock_(clock), start_(clock.now()), loud_(std::getenv("HOLDFAST_TRACE") != nullptr) {}

void Trace::add(std::string_view what, std::string_view detail) {
  const auto at = std::chrono::duration_cast<std::chrono::microseconds>(clock_.now() - start_).count();
  std::string line = fmt::format("{:>12.6f} {} {}", static_cast<double>(at) / 1e6, what, detail);
  for (const char c : comparable(line)) {  // FNV-1a
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
