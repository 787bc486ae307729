// config/reference.h — the schema as text for people: reference, effective values, README table.
#pragma once

#include <string>

#include "config/load.h"

namespace holdfast {

// Every key with its default, bounds and sentence, as a configuration that loads. What has no default is
// shown as an example: `hostname` in force, arrays of tables commented out.
std::string reference();

// The effective values as TOML that loads to the same settings, but for secrets, which are masked.
// With `origins` each line says where its value came from.
std::string show(const Loaded& loaded, bool origins);

// "| key | default | may be | does |" per key; the README holds the same table.
std::string markdown_table();

}  // namespace holdfast
