// smtp/base/directory.h — directories that a power cut does not take away.
//
// A file's name is durable once its directory is synced, and the directory's own once the one above is: what
// was synced with all care in a new directory is gone when the name of that was not.
#pragma once

#include <filesystem>

#include "smtp/base/result.h"

namespace holdfast {

// Makes durable which names a directory holds. Blocks. BaseError::io.
Result<void> sync_directory(const std::filesystem::path& path);

// Makes the directory, and those above it that are missing; their names are durable when this returns, also
// when an earlier life made them and was cut off. True when it was not there before. Blocks. BaseError::io.
Result<bool> make_directories(const std::filesystem::path& path);

}  // namespace holdfast
