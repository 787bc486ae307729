// mta/cli/relay_commands.h — commands that ask or change the running relay over its admin socket.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/common.h"

namespace holdfast {

struct QueueOptions {
  std::vector<std::string> ids;
  std::string to, from, user, older, error, state, limit;
  bool all = false;  // changes: without any filter
  bool yes = false;  // changes: do not ask
};

int queue_list(const CommonOptions& common, const QueueOptions& options);
int queue_show(const CommonOptions& common, const std::string& id);
// `what`: retry, hold, release, remove.
int queue_change(const CommonOptions& common, const std::string& what, const QueueOptions& options);
int destination_list(const CommonOptions& common);
int destination_show(const CommonOptions& common, const std::string& name);
// `what`: pause or resume.
int destination_change(const CommonOptions& common, const std::string& what, const std::string& name);
int sts_show(const CommonOptions& common, const std::string& domain);
int sts_refresh(const CommonOptions& common, const std::string& domain);
// "": all of them.
int sts_flush(const CommonOptions& common, const std::string& domain);
int tlsrpt_preview(const CommonOptions& common, const std::string& day, const std::string& domain);
int tlsrpt_status(const CommonOptions& common, const std::string& day, bool all);
int tlsrpt_send(const CommonOptions& common, const std::string& day);
int relay_health(const CommonOptions& common, bool ready);
int relay_status(const CommonOptions& common);
int relay_reload(const CommonOptions& common);

}  // namespace holdfast
