// mta/test_message.h — the message that `holdfast send-test` sends: from the postmaster, through the queue
// like any other. Pure.
#pragma once

#include <string>

#include "config/settings.h"
#include "smtp/message_sink.h"

namespace holdfast {

inline constexpr std::string_view kOperatorOrigin = "operator";

struct TestMessage {
  Envelope envelope;
  std::string content;
};

// Error: BaseError::malformed, when `to` or the postmaster's address is none. `at`: by the wall clock.
Result<TestMessage> make_test_message(const Settings& settings, const std::string& to, WallTime at);

}  // namespace holdfast
