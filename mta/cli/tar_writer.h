// mta/cli/tar_writer.h — a POSIX tar archive (ustar), written from front to back. Pure: octets out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

// The header of a file of `size` octets, last changed at `time` (seconds since 1970). `name`: at most 100
// octets; `size` below 8 GiB. The content follows, then tar_padding(size).
std::string tar_header(std::string_view name, std::uint64_t size, std::int64_t time);
std::string tar_padding(std::uint64_t size);
// What ends the archive.
std::string tar_end();

}  // namespace holdfast
