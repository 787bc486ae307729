// The program of one target: libFuzzer calls this with what it made up.
#include <cstddef>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  holdfast::fuzz::HOLDFAST_FUZZED({reinterpret_cast<const char*>(data), size});
  return 0;
}
