// mta/cli/relay_answer.h — what the relay's admin API answered, turned into output and an exit code.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/cli/admin_client.h"
#include "mta/cli/common.h"
#include "mta/cli/table.h"

namespace holdfast {

namespace json = boost::json;

// A value as text for a table: lists joined by commas, nothing for null.
std::string shown(const json::value& value);
// A member, "" when it is absent.
std::string member(const json::value& object, std::string_view key);
std::vector<std::string> cells(const json::value& object, std::initializer_list<std::string_view> keys);

// JSON lines to objects; false when a line is none.
bool parse_lines(const std::string& body, std::vector<json::value>& out);

// Says why when the answer is not a good one; its exit code.
int judge(const AdminAnswer& answer);
// Says that the answer is no JSON.
int not_understood();
// The member `count`; -1 when there is none. With `key`: that member.
std::int64_t count_in(const std::string& body, std::string_view key = "count");

// Who answers on the socket, or nullopt after the configuration's errors were told.
std::optional<AdminClient> client_for(const CommonOptions& common);

// Prints JSON lines as a table, or as they came. `nothing` is said on a terminal when there are none.
using RowOf = std::function<std::vector<std::string>(const json::value&)>;
int print_lines(const CommonOptions& common, const AdminAnswer& answer, Table table, const RowOf& row,
                const char* nothing);

// "key: value" lines; what lies deeper gets dotted names, lists of objects their numbers.
void print_object(const json::value& value, const std::string& name);
// One JSON object, as such lines or as it came.
int print_one(const CommonOptions& common, const AdminAnswer& answer);

}  // namespace holdfast
