#include "mta/cli/relay_commands.h"

#include "mta/cli/relay_answer.h"

namespace holdfast {
namespace {

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

int change_mail_of(const CommonOptions& common, const std::string& user, const std::string& what) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  Query query{{"user", user}};
  if (what != "hold") query.emplace_back("state", "held");
  const AdminAnswer answer = client->post("/v1/queue/" + what, query);
  if (const int code = judge(answer); code != exit_code::yes) return code;
  const std::int64_t count = count_in(answer.body);
  if (count < 0) return not_understood();
  if (count > 0) print(what + ": " + std::to_string(count) + (count == 1 ? " recipient\n" : " recipients\n"));
  return exit_code::yes;
}

int sts_flush(const CommonOptions& common, const std::string& domain) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer =
      client->post("/v1/sts/flush", domain.empty() ? Query{{"all", "1"}} : Query{{"domain", domain}});
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
  return print_lines(common, client->get("/v1/sts", given({{"domain", domain}})), Table(policy_header),
                     policy_row, "no policy is cached");
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
      common, client->get("/v1/tlsrpt/preview", given({{"day", day}, {"domain", domain}})),
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
  const AdminAnswer answer = client->get("/v1/tlsrpt/status", given({{"day", day}, {"all", all ? "1" : ""}}));
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
  const AdminAnswer answer = client->get("/v1/health", given({{"ready", ready ? "1" : ""}}));
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
  const AdminAnswer answer = client->post("/v1/reload");
  const int code = judge(answer);
  if (code == exit_code::configuration) complain("nothing was changed");
  if (code != exit_code::yes) return code;
  if (common.json) return print(answer.body), code;
  std::vector<json::value> objects;
  if (!parse_lines(answer.body, objects) || objects.empty()) return not_understood();
  print("reloaded\n");
  const std::string keys = member(objects.front(), "after_restart");
  if (!keys.empty()) complain("these keys were changed, but hold after a restart only: " + printable(keys));
  return code;
}

}  // namespace holdfast
