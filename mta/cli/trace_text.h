// mta/cli/trace_text.h — what became of a message, as lines for people. Pure.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/relay_answer.h"

namespace holdfast {

// Of the API's message object: envelope, recipients, then everything that happened, oldest first, with the
// transcripts of attempts that failed. Nothing in it is fit for a terminal before printable().
std::vector<std::string> trace_text(const json::value& message);

// One entry of its history.
std::vector<std::string> event_text(const json::value& entry);

}  // namespace holdfast
