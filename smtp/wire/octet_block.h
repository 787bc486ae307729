// smtp/wire/octet_block.h — content looked at by 64 octets at once. Lines are short: going from one line end
// to the next costs more than the octets between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace holdfast {

inline constexpr std::size_t kOctetBlock = 64;

// Which of the 64 octets at `block` are `c`; bit 0 stands for the first.
inline std::uint64_t positions_of(char c, const char* block) {
#ifdef __SSE2__
  const auto part = [wanted = _mm_set1_epi8(c), block](int offset) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + offset));
    const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(octets, wanted)));
    return std::uint64_t{mask} << offset;
  };
  return part(0) | part(16) | part(32) | part(48);
#else
  std::uint64_t found = 0;
  for (unsigned i = 0; i < kOctetBlock; ++i) found |= std::uint64_t{block[i] == c} << i;
  return found;
#endif
}

// Where `first` with `second` right behind it begins, at `from` or later; npos when nowhere.
std::size_t find_pair(std::string_view text, char first, char second, std::size_t from = 0);

}  // namespace holdfast
