#include "mta/cli/queue_commands.h"

#include <algorithm>

#include "mta/cli/progress.h"
#include "mta/cli/relay_answer.h"

namespace holdfast {
namespace {

std::string recipients(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " recipient" : " recipients");
}
std::string recipients_match(std::int64_t count) {
  return recipients(count) + (count == 1 ? " matches" : " match");
}

struct Counted {
  std::int64_t count = 0, active = 0;
};

// One request per id, or one for all filters.
std::vector<Query> queries_for(const QueueOptions& options) {
  std::vector<Query> queries;
  for (const std::string& id : options.ids) {
    queries.push_back(filters_of(options));
    queries.back().emplace_back("msg", id);
  }
  if (queries.empty()) queries.push_back(filters_of(options));
  if (queries.front().empty() && options.all) queries.front().emplace_back("all", "1");
  return queries;
}

int ask_to_change(const AdminClient& client, const std::string& what, const QueueOptions& options, bool dry,
                  bool with_bar, Counted& total) {
  total = {};
  const auto queries = queries_for(options);
  Progress bar(with_bar && queries.size() > 1, dry ? "counting" : what, queries.size());
  const AdminClient asked = queries.size() > 1 ? client.silent() : client.saying(dry ? "counting" : what);
  for (Query each : queries) {
    if (dry) each.emplace_back("dry", "1");
    if (!options.reason.empty()) each.emplace_back("reason", options.reason);
    const AdminAnswer answer = asked.post("/v1/queue/" + what, each);
    bar.advance();
    if (answer.status / 100 != 2) bar.clear();
    if (const int code = judge(answer); code != exit_code::yes) return code;
    const std::int64_t count = count_in(answer.body);
    if (count < 0) return bar.clear(), not_understood();
    total.count += count;
    total.active += std::max<std::int64_t>(0, count_in(answer.body, "active"));
  }
  return exit_code::yes;
}

}  // namespace

Query filters_of(const QueueOptions& options) {
  return given({{"to", options.to},
                {"from", options.from},
                {"user", options.user},
                {"domain", options.domain},
                {"older", options.older},
                {"newer", options.newer},
                {"error", options.error},
                {"state", options.state},
                {"limit", options.limit}});
}

bool is_queue_id(const std::string& id) {
  if (!id.empty() && id.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
                         std::string::npos)
    return true;
  complain("\"" + printable(id) + "\" is no queue id");
  return false;
}

int queue_list(const CommonOptions& common, const QueueOptions& options) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  if (common.json) return judge(client->get_to("/v1/queue", filters_of(options), print_all));
  return print_lines(
      common, client->get("/v1/queue", filters_of(options)),
      Table({"ID", "STATE", "TRIES", "NEXT", "FROM", "TO", "REASON"}),
      [](const json::value& object) {
        return cells(object, {"msg", "state", "attempts", "next", "from", "to", "reason"});
      },
      "no message matches");
}

int queue_summary(const CommonOptions& common, const QueueOptions& options) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  Query query = filters_of(options);
  if (!options.by.empty()) query.emplace_back("by", options.by);
  std::string title = options.by;
  for (char& c : title) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  return print_lines(
      common, client->get("/v1/queue/summary", query),
      Table({"RECIPIENTS", "MESSAGES", "BYTES", "OLDEST", title}),
      [](const json::value& object) {
        return cells(object, {"recipients", "messages", "bytes", "oldest", "key"});
      },
      "no message matches");
}

int queue_show(const CommonOptions& common, const std::string& id) {
  if (!is_queue_id(id)) return exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  return print_one(common, client->get("/v1/messages/" + id));
}

int queue_change(const CommonOptions& common, const std::string& what, const QueueOptions& options) {
  if (!std::all_of(options.ids.begin(), options.ids.end(), is_queue_id)) return exit_code::usage;
  if (filters_of(options).empty() && options.ids.empty() && !options.all)
    return complain("say which messages: ids, filters such as --to, or --all"), exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;

  const bool with_bar = Progress::shown(common);
  Counted counted;
  if (const int code = ask_to_change(*client, what, options, true, with_bar, counted); code != exit_code::yes)
    return code;
  if (counted.count == 0 && counted.active > 0) {
    return complain(recipients_match(counted.active) + ", but under way right now; try again"),
           exit_code::try_again;
  }
  if (counted.count == 0) return complain("no message matches"), exit_code::no;
  if (!options.yes && !confirm(what + " " + recipients(counted.count) + "?"))
    return complain(recipients_match(counted.count) + "; repeat with --yes to " + what +
                    (counted.count == 1 ? " it" : " them")),
           exit_code::no;
  if (const int code = ask_to_change(*client, what, options, false, with_bar, counted);
      code != exit_code::yes)
    return code;
  if (common.json) {
    print("{\"schema\":" + std::to_string(kCliSchema) + ",\"change\":" + json_string(what) + ",\"count\":" +
          std::to_string(counted.count) + ",\"active\":" + std::to_string(counted.active) + "}\n");
  } else {
    print(what + ": " + recipients(counted.count) + "\n");
  }
  if (counted.active > 0)
    complain(recipients(counted.active) + (counted.active == 1 ? " was" : " were") +
             " being tried at that moment and left alone; repeat the command");
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

}  // namespace holdfast
