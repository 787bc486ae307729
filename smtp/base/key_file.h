// smtp/base/key_file.h — a random key that outlives the process.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "smtp/base/result.h"

namespace holdfast {

inline constexpr std::size_t kKeySize = 32;

// A key of this process alone. Throws when the system's generator gives nothing: there is no way on then.
std::string random_key();

// The key that `file` holds; nullopt: there is no such file, or too little in it. BaseError::io.
Result<std::optional<std::string>> read_key(const std::filesystem::path& file);

// The key that `file` holds, made at first use with mode 0600. It is written and synced under another name
// first: the file is whole or not there, its name is durable, and of two processes that make it at once one
// takes the other's. A shorter file is torn, and is replaced; of a longer one, which somebody wrote by hand,
// the first kKeySize octets count. Blocks.
// BaseError::io when it can be neither read nor made.
Result<std::string> load_or_make_key(const std::filesystem::path& file);

}  // namespace holdfast
