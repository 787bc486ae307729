// mta/process.h — what the relay asks of the process that it is.
#pragma once

#include <filesystem>
#include <string>

#include "smtp/base/result.h"

namespace holdfast {

// Files are for the owner alone; no privileges can be gained any more; no core dump, no ptrace by others: the
// memory holds passwords and mail. Descriptors up to the hard limit.
void harden_process();

// Makes `data_dir` (mode 0700) and checks that it can be written.
Result<void> prepare_data_dir(const std::filesystem::path& data_dir);

// Tells systemd (or whoever set NOTIFY_SOCKET): "READY=1", "STOPPING=1", "RELOADING=1". Silent without it.
void notify_supervisor(const std::string& state);

}  // namespace holdfast
