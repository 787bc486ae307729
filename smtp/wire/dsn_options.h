// smtp/wire/dsn_options.h — what a sender asks of delivery status notifications, RFC 3461.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

// NOTIFY: a set of flags; 0 means that the sender said nothing (failure and delay by default).
enum NotifyFlag : std::uint8_t { kNotifyNever = 1, kNotifySuccess = 2, kNotifyFailure = 4, kNotifyDelay = 8 };

enum class DsnReturn : std::uint8_t { unspecified, full, headers };  // RET

struct RecipientDsn {
  std::uint8_t notify = 0;
  std::string original_recipient;  // ORCPT as given: "rfc822;user@example.com", xtext still encoded
};

}  // namespace holdfast
