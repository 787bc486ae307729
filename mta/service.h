// mta/service.h — the relay as a whole: builds the real objects, hands them to each other, runs, drains.
#pragma once

#include <filesystem>

namespace holdfast {

struct ServeOptions {
  std::filesystem::path config_file;
};

// Runs until SIGTERM or SIGINT; the process's exit code.
int run_service(const ServeOptions& options);

}  // namespace holdfast
