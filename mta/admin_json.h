// mta/admin_json.h — what the admin API says, as JSON objects (design: one line each, with a `schema`
// number). Pure. Field names are a contract with the programs that read them; more may be added, none
// renamed.
#pragma once

#include <string>
#include <vector>

#include "queue/queue_query.h"
#include "queue/queue_summary.h"
#include "smtp/base/log.h"
#include "sts/policy_store.h"

namespace holdfast {

inline constexpr int kAdminSchema = 1;

std::string rfc3339(WallTime at);  // "2026-01-31T12:00:00Z"; "" for the epoch

// One recipient: {schema, msg, from, to, state, attempts, next, reason, …}. A queued recipient that was tried
// before is `deferred`, one in hand now is `active`.
std::string queue_row_json(const QueueRow& row);

// One message with its envelope, recipients and history.
std::string message_json(const MessageStory& story);

// {schema, by, key, recipients, messages, bytes, oldest}
std::string summary_json(const SummaryLine& line, std::string_view by);

// {schema, domain, id, mode, max_age, mx, fetched, expires, source}
std::string policy_json(const CachedPolicy& policy, std::string_view source);

std::string error_json(std::string_view text);

}  // namespace holdfast
