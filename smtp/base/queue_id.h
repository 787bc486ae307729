// smtp/base/queue_id.h — the name of a message in the queue: 128 bits, sortable by time of acceptance, unique
// without a central counter (48 bits of milliseconds since 1970, 80 random bits).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/clock.h"
#include "smtp/base/random.h"

namespace holdfast {

struct QueueId {
  std::array<std::uint8_t, 16> bytes{};

  static QueueId make(WallTime now, Random& random);
  // 26 characters of Crockford's base 32, upper case; sorts as the bytes do.
  std::string text() const;
  static std::optional<QueueId> parse(std::string_view text);  // any case
  auto operator<=>(const QueueId&) const = default;
};

}  // namespace holdfast

template <>
struct std::hash<holdfast::QueueId> {
  std::size_t operator()(const holdfast::QueueId& id) const noexcept;
};
