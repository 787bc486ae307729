#include "mta/cli/relay_commands.h"

#include <boost/json.hpp>

#include "mta/cli/admin_client.h"
#include "mta/cli/table.h"

namespace holdfast {
namespace {

namespace json = boost::json;

// A member as text for a table: lists joined by commas, nothing for null and what is absent.
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

// JSON lines to objects; false when a line is none.
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

// Says why when the answer is not a good one; its exit code.
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

// The socket to ask at, or nullopt after the configuration's errors were told.
std::optional<AdminClient> client_for(const CommonOptions& common) {
  if (!common.socket.empty()) return AdminClient(common.socket);
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return std::nullopt;
  return AdminClient(settings->admin.socket);
}

// GETs JSON lines and prints them as a table, or as they came.
template <class Row>
int print_lines(const CommonOptions& common, const AdminAnswer& answer, Table table, Row row,
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

// "key: value" lines; what lies deeper gets dotted names, lists of objects their numbers.
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

Query filters(const QueueOptions& options) {
  return {{"to", options.to},       {"from", options.from},   {"user", options.user},
          {"older", options.older}, {"error", options.error}, {"state", options.state},
          {"limit", options.limit}};
}

// -1 when the answer holds no count.
std::int64_t count_in(const std::string& body) {
  boost::system::error_code code;
  const json::value value = json::parse(body, code);
  if (code || !value.is_object()) return -1;
  const json::value* count = value.get_object().if_contains("count");
  return count && count->is_int64() ? count->get_int64() : -1;
}

std::int64_t session_count(const json::value& report, std::string_view key) {
  std::int64_t sum = 0;
  const json::value* policies = report.is_object() ? report.get_object().if_contains("policies") : nullptr;
  if (!policies || !policies->is_array()) return 0;
  for (const json::value& policy : policies->get_array()) {
    const json::value* summary = policy.is_object() ? policy.get_object().if_contains("summary") : nullptr;
    const json::value* count =
        summary && summary->is_object() ? summary->get_object().if_contains(key) : nullptr;
    if (count && count->is_int64()) sum += count->get_int64();
  }
  return sum;
}

std::vector<std::string> policy_row(const json::value& object) {
  return cells(object, {"domain", "mode", "mx", "id", "max_age", "fetched", "expires", "source"});
}
const std::vector<std::string> policy_header = {"DOMAIN",  "MODE",    "MX",      "ID",
                                                "MAX_AGE", "FETCHED", "EXPIRES", "SOURCE"};

}  // namespace

int queue_list(const CommonOptions& common, const QueueOptions& options) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  return print_lines(
      common, client->get("/v1/queue", filters(options)),
      Table({"ID", "STATE", "TRIES", "NEXT", "FROM", "TO", "REASON"}),
      [](const json::value& object) {
        return cells(object, {"msg", "state", "attempts", "next", "from", "to", "reason"});
      },
      "no message matches");
}

int queue_show(const CommonOptions& common, const std::string& id) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  // Only letters and digits make an id; anything else must not reach another path of the API.
  if (id.empty() || id.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") !=
                        std::string::npos)
    return complain("\"" + printable(id) + "\" is no queue id"), exit_code::usage;
  return print_one(common, client->get("/v1/messages/" + id));
}

int queue_change(const CommonOptions& common, const std::string& what, const QueueOptions& options) {
  Query query = filters(options);
  const bool filtered =
      std::any_of(query.begin(), query.end(), [](const auto& f) { return !f.second.empty(); });
  if (!filtered && options.ids.empty() && !options.all)
    return complain("say which messages: ids, filters such as --to, or --all"), exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;

  std::vector<Query> queries;
  for (const std::string& id : options.ids) {
    queries.push_back(query);
    queries.back().emplace_back("msg", id);
  }
  if (queries.empty()) queries.push_back(query);

  const auto run = [&](bool dry, std::int64_t& total) {
    total = 0;
    for (Query each : queries) {
      if (dry) each.emplace_back("dry", "1");
      const AdminAnswer answer = client->post("/v1/queue/" + what, each);
      if (const int code = judge(answer); code != exit_code::yes) return code;
      const std::int64_t count = count_in(answer.body);
      if (count < 0) return not_understood();
      total += count;
    }
    return exit_code::yes;
  };

  std::int64_t count = 0;
  if (const int code = run(true, count); code != exit_code::yes) return code;
  const std::string recipients = std::to_string(count) + (count == 1 ? " recipient" : " recipients");
  if (count == 0) return complain("no message matches"), exit_code::no;
  if (!options.yes && !confirm(what + " " + recipients + "?"))
    return complain(recipients + " match; repeat with --yes to " + what + " them"), exit_code::no;
  if (const int code = run(false, count); code != exit_code::yes) return code;
  if (common.json) {
    print("{\"schema\":" + std::to_string(kCliSchema) + ",\"change\":" + json_string(what) +
          ",\"count\":" + std::to_string(count) + "}\n");
  } else {
    print(what + ": " + std::to_string(count) + (count == 1 ? " recipient\n" : " recipients\n"));
  }
  return exit_code::yes;
}

int destination_list(const CommonOptions& common) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer = client->get("/v1/destinations");
  // The columns are those of the first object: the scheduler tells more as it learns more.
  std::vector<json::value> objects;
  std::vector<std::string> keys, header;
  if (answer.status == 200 && parse_lines(answer.body, objects) && !objects.empty() &&
      objects.front().is_object()) {
    for (const auto& item : objects.front().get_object()) {
      if (item.key() == "schema") continue;
      keys.emplace_back(item.key());
      header.emplace_back(item.key());
      for (char& c : header.back()) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
    }
  }
  return print_lines(
      common, answer, Table(header),
      [&](const json::value& object) {
        std::vector<std::string> row;
        for (const std::string& key : keys) row.push_back(member(object, key));
        return row;
      },
      "no destination is known yet");
}

int destination_show(const CommonOptions& common, const std::string& name) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer = client->get("/v1/destinations");
  if (const int code = judge(answer); code != exit_code::yes) return code;
  std::vector<json::value> objects;
  if (!parse_lines(answer.body, objects)) return not_understood();
  for (const json::value& object : objects) {
    if (member(object, "name") != name) continue;
    if (common.json) return print(json::serialize(object) + "\n"), exit_code::yes;
    return print_object(object, ""), exit_code::yes;
  }
  complain("no destination \"" + printable(name) + "\" has mail now");
  return exit_code::no;
}

int destination_change(const CommonOptions& common, const std::string& what, const std::string& name) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  return print_one(common, client->post("/v1/destinations/" + what, {{"name", name}}));
}

int sts_flush(const CommonOptions& common, const std::string& domain) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer = client->post("/v1/sts/flush", {{"domain", domain}});
  if (const int code = judge(answer); code != exit_code::yes) return code;
  if (common.json) return print(answer.body), exit_code::yes;
  const std::int64_t count = count_in(answer.body);
  if (count < 0) return not_understood();
  print("flush: " + std::to_string(count) + (count == 1 ? " policy\n" : " policies\n"));
  return exit_code::yes;
}

int sts_show(const CommonOptions& common, const std::string& domain) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  return print_lines(common, client->get("/v1/sts", {{"domain", domain}}), Table(policy_header), policy_row,
                     "no policy is cached");
}

int sts_refresh(const CommonOptions& common, const std::string& domain) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  return print_lines(common, client->post("/v1/sts/refresh", {{"domain", domain}}), Table(policy_header),
                     policy_row, "the domain has no policy");
}

int tlsrpt_preview(const CommonOptions& common, const std::string& day, const std::string& domain) {
  if (!is_day(day))
    return complain("\"" + printable(day) + "\" is no day; write today or YYYY-MM-DD"), exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  return print_lines(
      common, client->get("/v1/tlsrpt/preview", {{"day", day}, {"domain", domain}}),
      Table({"DOMAIN", "DAY", "SUCCESSFUL", "FAILED", "TARGETS"}),
      [](const json::value& object) -> std::vector<std::string> {
        const json::value* report = object.is_object() ? object.get_object().if_contains("report") : nullptr;
        const json::value none;
        const json::value& counted = report ? *report : none;
        return {member(object, "domain"), member(object, "day"),
                std::to_string(session_count(counted, "total-successful-session-count")),
                std::to_string(session_count(counted, "total-failure-session-count")),
                member(object, "targets")};
      },
      "no session was counted on that day");
}

namespace {

// One line per target; a report without any has one line that says why.
void add_report_rows(const json::value& object, Table& table) {
  const std::string kind = member(object, "kind");
  if (kind == "key")
    return table.add({"key", member(object, "name"), member(object, "found") == "yes" ? "found" : "missing",
                      "", "", "", member(object, "reason")});
  if (kind == "suppressed")
    return table.add({"suppressed", member(object, "address"), "until", "", "", member(object, "until"),
                      member(object, "reason")});
  const json::value* targets = object.is_object() ? object.get_object().if_contains("targets") : nullptr;
  if (!targets || !targets->is_array() || targets->get_array().empty())
    return table.add({member(object, "day"), member(object, "domain"), member(object, "state"), "", "",
                      member(object, "next"), member(object, "reason")});
  for (const json::value& target : targets->get_array())
    table.add({member(object, "day"), member(object, "domain"), member(target, "state"),
               member(target, "uri"), member(target, "attempts"), member(target, "next"),
               member(target, "reason")});
}

}  // namespace

int tlsrpt_status(const CommonOptions& common, const std::string& day, bool all) {
  if (!day.empty() && !is_day(day))
    return complain("\"" + printable(day) + "\" is no day; write YYYY-MM-DD"), exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer = client->get("/v1/tlsrpt/status", {{"day", day}, {"all", all ? "1" : ""}});
  if (const int code = judge(answer); code != exit_code::yes) return code;
  if (common.json) return print(answer.body), exit_code::yes;
  std::vector<json::value> objects;
  if (!parse_lines(answer.body, objects)) return not_understood();
  Table table({"DAY", "DOMAIN", "STATE", "TARGET", "TRIES", "NEXT", "REASON"});
  for (const json::value& object : objects) add_report_rows(object, table);
  if (table.empty() && stdout_is_terminal()) complain("no report was asked for yet");
  print(table.text(stdout_is_terminal()));
  for (const json::value& object : objects) {
    if (member(object, "kind") == "key" && member(object, "found") != "yes" &&
        !member(object, "publish").empty())
      complain("reports by mail wait until this record is in DNS:\n" + printable(member(object, "publish")));
  }
  return exit_code::yes;
}

int tlsrpt_send(const CommonOptions& common, const std::string& day) {
  if (!is_day(day))
    return complain("\"" + printable(day) + "\" is no day; write YYYY-MM-DD"), exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer = client->post("/v1/tlsrpt/send", {{"day", day}});
  if (const int code = judge(answer); code != exit_code::yes) return code;
  const std::int64_t count = count_in(answer.body);
  if (count < 0) return not_understood();
  if (common.json) return print(answer.body), exit_code::yes;
  if (count == 0) return complain("no report of that day waits to be sent"), exit_code::no;
  print(std::to_string(count) + (count == 1 ? " report is" : " reports are") +
        " on the way; see holdfast tlsrpt status\n");
  return exit_code::yes;
}

int relay_health(const CommonOptions& common, bool ready) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer = client->get("/v1/health", {{"ready", ready ? "1" : ""}});
  const int code = judge(answer);
  if (common.json && answer.status != 0) print(answer.body);
  if (answer.status == 503) return exit_code::no;
  if (code == exit_code::yes && !common.json) print(ready ? "ready\n" : "alive\n");
  return code;
}

int relay_status(const CommonOptions& common) {
  const auto client = client_for(common);
  return client ? print_one(common, client->get("/v1/status")) : exit_code::configuration;
}

int relay_reload(const CommonOptions& common) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const int code = judge(client->post("/v1/reload"));
  if (code == exit_code::yes) print("reloaded\n");
  if (code == exit_code::configuration) complain("nothing was changed");
  return code;
}

}  // namespace holdfast
