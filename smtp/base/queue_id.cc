#include "smtp/base/queue_id.h"

#include <cstring>

namespace holdfast {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // Crockford: no I, L, O, U
constexpr std::size_t kLength = 26;

int value_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'O') c = '0';  // read as Crockford asks, for ids typed by people
  if (c == 'I' || c == 'L') c = '1';
  const auto at = kDigits.find(c);
  return at == kDigits.npos ? -1 : static_cast<int>(at);
}

}  // namespace

QueueId QueueId::make(WallTime now, Random& random) {
  QueueId id;
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const auto millis = static_cast<std::uint64_t>(since < 0 ? 0 : since);
  for (unsigned i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
  const std::uint64_t high = random.next();
  const std::uint64_t low = random.next();
  for (unsigned i = 0; i < 8; ++i) id.bytes[6 + i] = static_cast<std::uint8_t>(high >> (8 * i));
  for (unsigned i = 0; i < 2; ++i) id.bytes[14 + i] = static_cast<std::uint8_t>(low >> (8 * i));
  return id;
}

std::string QueueId::text() const {
  std::string out(kLength, '0');
  // 130 bits for 128: the first digit carries only three.
  unsigned pending = 0;
  unsigned bits = 2;
  std::size_t at = 0;
  for (const std::uint8_t byte : bytes) {
    pending = (pending << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out[at++] = kDigits[(pending >> bits) & 31];
    }
    pending &= (1U << bits) - 1;
  }
  return out;
}

std::optional<QueueId> QueueId::parse(std::string_view text) {
  if (text.size() != kLength) return std::nullopt;
  QueueId id;
  unsigned pending = 0;
  unsigned bits = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < kLength; ++i) {
    const int value = value_of(text[i]);
    if (value < 0 || (i == 0 && value > 7)) return std::nullopt;
    pending = (pending << 5) | static_cast<unsigned>(value);
    bits += i == 0 ? 3 : 5;
    if (bits >= 8) {
      bits -= 8;
      id.bytes[at++] = static_cast<std::uint8_t>(pending >> bits);
    }
    pending &= (1U << bits) - 1;
  }
  return id;
}

}  // namespace holdfast

std::size_t std::hash<holdfast::QueueId>::operator()(const holdfast::QueueId& id) const noexcept {
  std::uint64_t tail;  // the random end is as good a hash as any
  std::memcpy(&tail, id.bytes.data() + 8, sizeof tail);
  return static_cast<std::size_t>(tail);
}
