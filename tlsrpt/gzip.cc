#include "tlsrpt/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, and 16 for gzip's header rather than zlib's

// zlib takes pointers to non-const octets, and counts in unsigned int.
Bytef* octets_of(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

uInt feed(z_stream& stream, std::string_view& rest) {
  const auto count = static_cast<uInt>(std::min<std::size_t>(rest.size(), 1U << 30));
  stream.next_in = octets_of(rest);
  stream.avail_in = count;
  rest.remove_prefix(count);
  return count;
}

struct Inflater {
  z_stream stream{};
  Inflater() {
    if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

Error malformed_gzip(const char* why) { return Error(BaseError::malformed, std::string("gzip: ") + why); }

}  // namespace

std::string gzip(std::string_view text) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string out;
  std::array<char, 16384> chunk;
  int status = Z_OK;
  do {
    if (stream.avail_in == 0) feed(stream, text);
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    status = deflate(&stream, text.empty() ? Z_FINISH : Z_NO_FLUSH);
    out.append(chunk.data(), chunk.size() - stream.avail_out);
  } while (status == Z_OK || status == Z_BUF_ERROR);
  deflateEnd(&stream);
  return out;
}

Result<std::string> gunzip(std::string_view octets, std::size_t max_size) {
  Inflater inflater;
  z_stream& stream = inflater.stream;
  std::string out;
  std::array<char, 16384> chunk;
  for (;;) {
    if (stream.avail_in == 0 && feed(stream, octets) == 0) return malformed_gzip("cut off");
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      return malformed_gzip(stream.msg ? stream.msg : "damaged");
    }
    const std::size_t count = chunk.size() - stream.avail_out;
    if (count > max_size - out.size()) {
      return Error(BaseError::too_long,
                   "gzip: more than " + std::to_string(max_size) + " octets when unpacked");
    }
    out.append(chunk.data(), count);
    if (status != Z_STREAM_END) continue;
    if (stream.avail_in == 0 && octets.empty()) return out;
    if (inflateReset(&stream) != Z_OK) return malformed_gzip("damaged");
  }
}

}  // namespace holdfast
