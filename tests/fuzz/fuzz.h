// tests/fuzz/fuzz.h — what the fuzz targets share: every target is one function of its input, which throws
// Broken when what it checks does not hold. Under libFuzzer that ends the program, as any crash does; in
// fuzz_tests it fails the test.
//
// A target that asks whether chunk splits matter takes the splits from a hash of its input, so that a corpus
// file is nothing but what a peer sends.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::fuzz {

struct Broken : std::logic_error {
  using std::logic_error::logic_error;
};

// `what`: the property that ought to hold.
inline void require(bool holds, const char* what) {
  if (!holds) throw Broken(what);
}

// FNV-1a.
std::uint64_t hash_of(std::string_view input);

// The input whole, octet by octet, and at two splits of its own: any of them must give the same.
using Chunks = std::vector<std::string_view>;
std::vector<Chunks> splits_of(std::string_view input);

std::vector<std::string_view> split(std::string_view text, char separator);
// Without C0 controls and DEL.
bool has_no_controls(std::string_view text);
// CR, LF and NUL taken out: what passed a LineBuffer.
std::string one_line(std::string_view text);

#define HOLDFAST_FUZZ_TARGET(name, mutations) void fuzz_##name(std::string_view input);
#include "tests/fuzz/targets.def"
#undef HOLDFAST_FUZZ_TARGET

}  // namespace holdfast::fuzz
