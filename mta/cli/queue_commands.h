// mta/cli/queue_commands.h — `holdfast queue …` and `holdfast destination …`: over the admin socket.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mta/cli/admin_client.h"
#include "mta/cli/common.h"

namespace holdfast {

struct QueueOptions {
  std::vector<std::string> ids;
  std::string to, from, user, domain, older, newer, error, state, limit;
  bool all = false;              // changes: without any filter
  bool yes = false;              // changes: do not ask
  std::string reason;            // bounce: what the sender is told
  std::string by = "domain";     // summary
  std::filesystem::path output;  // export; "" = standard output
};

// As the admin API takes them.
Query filters_of(const QueueOptions& options);
// Only letters and digits make an id; anything else must not reach another path of the API. Complains.
bool is_queue_id(const std::string& id);

int queue_list(const CommonOptions& common, const QueueOptions& options);
int queue_summary(const CommonOptions& common, const QueueOptions& options);
int queue_show(const CommonOptions& common, const std::string& id);
// `what`: retry, hold, release, remove, bounce.
int queue_change(const CommonOptions& common, const std::string& what, const QueueOptions& options);
// A tar archive with the content and the envelope of each message. What cannot be read is named and left out;
// bad_data then.
int queue_export(const CommonOptions& common, const QueueOptions& options);

int destination_list(const CommonOptions& common);
int destination_show(const CommonOptions& common, const std::string& name);
// `what`: pause or resume.
int destination_change(const CommonOptions& common, const std::string& what, const std::string& name);

}  // namespace holdfast
