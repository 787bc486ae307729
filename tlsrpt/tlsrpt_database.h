// tlsrpt/tlsrpt_database.h — data_dir/tlsrpt.db: the tables of the ledger and of the reporter. Each has its
// own connection; the ledger reads the reporter's `report` to know which days are closed.
#pragma once

#include <filesystem>

#include "smtp/base/sqlite.h"

namespace holdfast {

// Makes what is missing of the tables.
Result<SqliteDb> open_tlsrpt_database(const std::filesystem::path& file);

}  // namespace holdfast
