// mta/admin_answer.h — the forms that answers of the admin API have, and how its requests are read.
#pragma once

#include <string>
#include <string_view>

#include "mta/admin_http.h"

namespace holdfast {

AdminResponse admin_answer(int status, std::string json);
AdminResponse admin_failure(int status, std::string_view text);  // {schema, error}
AdminResponse admin_lines(std::string json_lines);               // application/x-ndjson

// "" when the query has no such key.
std::string query_value(const AdminRequest& request, const std::string& key);

}  // namespace holdfast
