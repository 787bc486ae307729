// mta/log_format.h — one line of the log, as JSON or for a person's eyes. Pure.
//
// Fields come escaped (smtp/base/log.h); what is added here is escaped here, so a line is always one line.
#pragma once

#include <string>
#include <string_view>

#include "config/settings.h"
#include "smtp/base/clock.h"
#include "smtp/base/log.h"

namespace holdfast {

const char* name(LogLevel level);

// "2026-11-21T22:01:31.042Z"
std::string log_timestamp(WallTime at);

// {"ts":…,"event":"delivered","schema":1,…}
std::string json_event(WallTime at, std::string_view event, const std::string& fields);
// {"ts":…,"level":"info","text":…,…}
std::string json_diagnostic(WallTime at, LogLevel level, std::string_view text, const std::string& fields);

// "22:01:31.042 delivered  msg=… to=…": values that need no quotes have none.
std::string text_event(WallTime at, std::string_view event, const std::string& fields);
std::string text_diagnostic(WallTime at, LogLevel level, std::string_view text, const std::string& fields);

// fields.json() with its addresses as `how` says: "a***@b.example", or "3f…(16 hex digits)@b.example", the
// HMAC-SHA-256 of the whole address under `key`, so that one address stays recognisable without being told.
// Those in texts too, whatever the field, but not `message_id`. In one pass; `full` costs nothing.
std::string apply_addresses(const Fields& fields, LogAddresses how, std::string_view key);
// The same for a text of its own; not for `full`.
std::string hide_addresses(std::string_view text, LogAddresses how, std::string_view key);

}  // namespace holdfast
