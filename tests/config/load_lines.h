// tests/config/load_lines.h — what nearly every configuration of these tests holds.
#pragma once

#include <string>

#include "tests/config/loaded_text.h"

namespace holdfast::loading {

inline const std::string host = "hostname = \"relay.example.com\"\n";
inline const std::string hash = "$y$j75$pmDyRB4HxnWmFVDSFEK0o/$AWR41jYZ1oYVqRMMuJxaNVYJdtDvCcBOVYeBTm0eQ.0";

}  // namespace holdfast::loading
