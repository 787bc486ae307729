#include <gtest/gtest.h>
#include <zlib.h>

#include "queue/checksum.h"

namespace holdfast {
namespace {

std::string octets_of(std::size_t size) {
  std::string octets;
  std::uint32_t state = 1;
  while (octets.size() < size) octets += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return octets;
}

std::uint32_t zlib_says(std::string_view octets, std::uint32_t before) {
  return static_cast<std::uint32_t>(
      crc32_z(before, reinterpret_cast<const unsigned char*>(octets.data()), octets.size()));
}

TEST(Checksum, IsTheKnownOne) {
  EXPECT_EQ(checksum(""), 0u);
  EXPECT_EQ(checksum("123456789"), 0xCBF43926u);
}

// What stands on a disk was summed by whatever machine wrote it.
TEST(Checksum, IsZlibsForEveryLength) {
  const std::string octets = octets_of(1100);
  for (std::size_t size = 0; size <= octets.size(); ++size) {
    for (const std::uint32_t before : {0u, 1u, 0xCBF43926u, 0xFFFFFFFFu}) {
      const auto part = std::string_view(octets).substr(octets.size() - size);
      ASSERT_EQ(checksum(part, before), zlib_says(part, before)) << size;
    }
  }
}

TEST(Checksum, IsTheSameForEverySplit) {
  const std::string octets = octets_of(700);
  const std::uint32_t whole = checksum(octets);
  for (std::size_t at = 0; at <= octets.size(); ++at) {
    const std::string_view all = octets;
    ASSERT_EQ(checksum(all.substr(at), checksum(all.substr(0, at))), whole) << at;
  }
}

TEST(Checksum, SeesEveryFlippedBitOfALargeBody) {
  std::string octets = octets_of(4096);
  const std::uint32_t right = checksum(octets);
  for (std::size_t bit = 0; bit < octets.size() * 8; ++bit) {
    octets[bit / 8] = static_cast<char>(octets[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_NE(checksum(octets), right) << bit;
    octets[bit / 8] = static_cast<char>(octets[bit / 8] ^ (1 << (bit % 8)));
  }
}

}  // namespace
}  // namespace holdfast
