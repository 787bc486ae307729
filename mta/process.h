// mta/process.h — what the relay asks of the process that it is.
#pragma once

#include <filesystem>
#include <string>

#include "smtp/base/result.h"

namespace holdfast {

// Files are for the owner alone; no privileges can be gained any more; no core dump, no ptrace by others: the
// memory holds passwords and mail. Descriptors up to the hard limit.
void harden_process();

// Makes `data_dir` (mode 0700), or checks one that is there: that it can be written, and by nobody else.
// `warning` says when others may look into it. It is never changed: it may be somebody's /srv.
Result<void> prepare_data_dir(const std::filesystem::path& data_dir, std::string& warning);

// Tells systemd (or whoever set NOTIFY_SOCKET): "READY=1", "STOPPING=1", "RELOADING=1". Silent without it.
void notify_supervisor(const std::string& state);

}  // namespace holdfast
