// sts/policy_cache.h — the SQLite engine of PolicyCache: data_dir/sts.db, one row per domain.
#pragma once

#include <filesystem>
#include <memory>

#include "smtp/base/log.h"
#include "sts/policy_store.h"

namespace holdfast {

// A damaged file is an Error: to go on without it would forget every enforce policy. A single row that cannot
// be read is passed over with a warning. Used by one thread at a time; `log` outlives it.
Result<std::unique_ptr<PolicyCache>> open_policy_cache(const std::filesystem::path& file, Log& log);

// What a relay has cached, for programs beside it: reads only, changes nothing, also while the relay runs.
Result<std::vector<CachedPolicy>> read_policy_cache(const std::filesystem::path& file, Log& log);

}  // namespace holdfast
