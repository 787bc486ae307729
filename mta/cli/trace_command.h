// mta/cli/trace_command.h — `holdfast trace` and `holdfast send-test`: what became of a message.
#pragma once

#include <cstdint>
#include <string>

#include "mta/cli/queue_commands.h"

namespace holdfast {

// With an id: the message's timeline. Without: those that match, the newest first, also what has ended.
int trace(const CommonOptions& common, const std::string& id, const QueueOptions& options);

struct SendTestOptions {
  std::string address;
  bool wait = false;
  std::int64_t timeout = 120;  // seconds to wait
};
// Waiting: 0 delivered, 1 bounced, 75 neither within the time.
int send_test(const CommonOptions& common, const SendTestOptions& options);

}  // namespace holdfast
