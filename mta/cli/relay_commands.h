// mta/cli/relay_commands.h — commands that ask or change the running relay over its admin socket.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/common.h"

namespace holdfast {

// hold or release: all that this user, by its whole name, has in the queue. Says how much when there is some.
int change_mail_of(const CommonOptions& common, const std::string& user, const std::string& what);
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
