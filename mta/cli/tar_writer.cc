#include "mta/cli/tar_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace holdfast {
namespace {

constexpr std::size_t kBlock = 512;

void put(std::string& header, std::size_t at, std::string_view text) {
  std::copy(text.begin(), text.end(), header.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

std::string tar_header(std::string_view name, std::uint64_t size, std::int64_t time) {
  std::string header(kBlock, '\0');
  put(header, 0, name.substr(0, 100));
  put(header, 100, "0000600");
  put(header, 108, "0000000");  // owner and group are whoever unpacks it
  put(header, 116, "0000000");
  put(header, 124, fmt::format("{:011o}", size));
  put(header, 136, fmt::format("{:011o}", std::max<std::int64_t>(0, time)));
  put(header, 148, "        ");  // the checksum counts as spaces
  put(header, 156, "0");
  put(header, 257,
      std::string_view("ustar\0"
                       "00",
                       8));
  const auto sum = std::accumulate(header.begin(), header.end(), 0U,
                                   [](unsigned all, char c) { return all + static_cast<unsigned char>(c); });
  put(header, 148, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return header;
}

std::string tar_padding(std::uint64_t size) { return std::string((kBlock - size % kBlock) % kBlock, '\0'); }

std::string tar_end() { return std::string(2 * kBlock, '\0'); }

}  // namespace holdfast
