#include "mta/cli/relay_answer.h"

#include "mta/cli/progress.h"

namespace holdfast {

namespace {

// What the relay says is wrong: {"error":…}, {"errors":[…]}, or plain text.
std::vector<std::string> reasons(const std::string& body) {
  boost::system::error_code code;
  const json::value value = json::parse(body, code);
  std::vector<std::string> out;
  if (!code && value.is_object()) {
    for (const char* key : {"error", "errors", "reasons", "not_ready"}) {
      const json::value* found = value.get_object().if_contains(key);
      if (found && found->is_array()) {
        for (const json::value& item : found->get_array()) out.push_back(shown(item));
      } else if (found) {
        out.push_back(shown(*found));
      }
    }
  } else {
    for (std::size_t at = 0; at < body.size();) {
      const auto end = std::min(body.find('\n', at), body.size());
      if (end != at) out.push_back(body.substr(at, end - at));
      at = end + 1;
    }
  }
  return out;
}

int code_for(const AdminAnswer& answer) {
  switch (answer.status) {
    case 0: return answer.permission_denied ? exit_code::permission : exit_code::unreachable;
    case 400: return exit_code::usage;
    case 401:
    case 403: return exit_code::permission;
    case 404: return exit_code::no;
    case 409: return exit_code::configuration;
    default: return answer.status / 100 == 2 ? exit_code::yes : exit_code::try_again;
  }
}

}  // namespace

std::string shown(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_null()) return "";
  if (value.is_bool()) return value.get_bool() ? "yes" : "no";
  if (value.is_array()) {
    std::string out;
    for (const json::value& item : value.get_array()) out += (out.empty() ? "" : ", ") + shown(item);
    return out;
  }
  return json::serialize(value);
}

std::string member(const json::value& object, std::string_view key) {
  const json::value* found = object.is_object() ? object.get_object().if_contains(key) : nullptr;
  return found ? shown(*found) : "";
}

std::vector<std::string> cells(const json::value& object, std::initializer_list<std::string_view> keys) {
  std::vector<std::string> out;
  for (const auto key : keys) out.push_back(member(object, key));
  return out;
}

bool parse_lines(const std::string& body, std::vector<json::value>& out) {
  for (std::size_t at = 0; at < body.size();) {
    const auto end = std::min(body.find('\n', at), body.size());
    if (end != at) {
      boost::system::error_code code;
      out.push_back(json::parse(std::string_view(body).substr(at, end - at), code));
      if (code) return false;
    }
    at = end + 1;
  }
  return true;
}

int judge(const AdminAnswer& answer) {
  const int code = code_for(answer);
  if (code == exit_code::yes) return code;
  if (answer.status == 0) return complain(answer.error), code;
  const auto why = reasons(answer.body);
  for (const std::string& reason : why) complain(printable(reason));
  if (why.empty()) complain("the relay answered with HTTP status " + std::to_string(answer.status));
  return code;
}

int not_understood() {
  complain("the relay's answer is not JSON; is another program at this socket?");
  return exit_code::bad_data;
}

std::optional<AdminClient> client_for(const CommonOptions& common) {
  const std::string waiting_for = Progress::shown(common) ? "waiting for the relay's answer" : "";
  if (!common.socket.empty()) return AdminClient(common.socket, waiting_for);
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return std::nullopt;
  return AdminClient(settings->admin.socket, waiting_for);
}

void print_object(const json::value& value, const std::string& name) {
  if (value.is_object()) {
    for (const auto& item : value.get_object())
      if (item.key() != "schema")
        print_object(item.value(), (name.empty() ? "" : name + ".") + std::string(item.key()));
  } else if (value.is_array() && !value.get_array().empty() && value.get_array().front().is_object()) {
    std::size_t index = 0;
    for (const json::value& item : value.get_array())
      print_object(item, name + "[" + std::to_string(index++) + "]");
  } else {
    print(printable(name) + ": " + printable(shown(value)) + "\n");
  }
}

int print_one(const CommonOptions& common, const AdminAnswer& answer) {
  if (const int code = judge(answer); code != exit_code::yes) return code;
  if (common.json) return print(answer.body), exit_code::yes;
  boost::system::error_code code;
  const json::value value = json::parse(answer.body, code);
  if (code) return not_understood();
  print_object(value, "");
  return exit_code::yes;
}

std::int64_t count_in(const std::string& body, std::string_view key) {
  boost::system::error_code code;
  const json::value value = json::parse(body, code);
  if (code || !value.is_object()) return -1;
  const json::value* count = value.get_object().if_contains(key);
  return count && count->is_int64() ? count->get_int64() : -1;
}

int print_lines(const CommonOptions& common, const AdminAnswer& answer, Table table, const RowOf& row,
                const char* nothing) {
  if (const int code = judge(answer); code != exit_code::yes) return code;
  if (common.json) return print(answer.body), exit_code::yes;
  std::vector<json::value> objects;
  if (!parse_lines(answer.body, objects)) return not_understood();
  for (const json::value& object : objects) table.add(row(object));
  if (table.empty() && stdout_is_terminal()) complain(nothing);
  print(table.text(stdout_is_terminal()));
  return exit_code::yes;
}

}  // namespace holdfast
