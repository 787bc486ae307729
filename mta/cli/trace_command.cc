#include "mta/cli/trace_command.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "mta/cli/relay_answer.h"
#include "mta/cli/trace_text.h"

namespace holdfast {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(300);

void print_text(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) print(printable(line) + "\n");
}

const json::array& list(const json::value& object, std::string_view key) {
  static const json::array nothing;
  const json::value* found = object.is_object() ? object.get_object().if_contains(key) : nullptr;
  return found && found->is_array() ? found->get_array() : nothing;
}

bool ended(const std::string& state) {
  return state == "delivered" || state == "bounced" || state == "expired" || state == "removed";
}

// What of a message has been told already.
class Follower {
 public:
  Follower(const CommonOptions& common, const AdminClient& client, std::string id)
      : common_(common), client_(client), id_(std::move(id)) {}

  // Tells what is new. nullopt: neither ended nor wrong.
  std::optional<int> look() {
    const AdminAnswer answer = client_.get("/v1/messages/" + id_);
    if (const int code = judge(answer); code != exit_code::yes) return code;
    boost::system::error_code code;
    const json::value message = json::parse(answer.body, code);
    if (code) return not_understood();
    const auto& history = list(message, "history");
    for (; told_ < history.size(); ++told_)
      if (!common_.json) print_text(event_text(history[told_]));
    std::fflush(stdout);
    const auto& recipients = list(message, "recipients");
    const bool over =
        !recipients.empty() && std::all_of(recipients.begin(), recipients.end(),
                                           [](const auto& r) { return ended(member(r, "state")); });
    last_ = answer.body;
    if (!over) return std::nullopt;
    const bool good = std::all_of(recipients.begin(), recipients.end(),
                                  [](const auto& r) { return member(r, "state") == "delivered"; });
    return good ? exit_code::yes : exit_code::no;
  }
  const std::string& last() const { return last_; }

 private:
  const CommonOptions& common_;
  const AdminClient& client_;
  std::string id_, last_;
  std::size_t told_ = 0;
};

}  // namespace

int trace(const CommonOptions& common, const std::string& id, const QueueOptions& options) {
  if (!id.empty() && !is_queue_id(id)) return exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  if (id.empty()) {
    const AdminAnswer answer = client->get("/v1/history", filters_of(options));
    const int code = print_lines(
        common, answer, Table({"ID", "ACCEPTED", "STATE", "TRIES", "FROM", "TO", "REASON"}),
        [](const json::value& object) {
          return cells(object, {"msg", "accepted", "state", "attempts", "from", "to", "reason"});
        },
        "no message matches, as far as the history reaches");
    return code == exit_code::yes && answer.body.empty() ? exit_code::no : code;
  }
  const AdminAnswer answer = client->get("/v1/messages/" + id);
  if (const int code = judge(answer); code != exit_code::yes) return code;
  if (common.json) return print(answer.body), exit_code::yes;
  boost::system::error_code code;
  const json::value message = json::parse(answer.body, code);
  if (code) return not_understood();
  print_text(trace_text(message));
  return exit_code::yes;
}

int send_test(const CommonOptions& common, const SendTestOptions& options) {
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  const AdminAnswer answer = client->post("/v1/send-test", {{"to", options.address}});
  if (const int code = judge(answer); code != exit_code::yes) return code;
  boost::system::error_code code;
  const json::value accepted = json::parse(answer.body, code);
  const std::string id = code ? "" : member(accepted, "msg");
  if (id.empty()) return not_understood();
  if (!options.wait) {
    if (common.json) return print(answer.body), exit_code::yes;
    return print("queued as " + printable(id) + "; see holdfast trace " + printable(id) + "\n"),
           exit_code::yes;
  }
  if (!common.json) print("queued as " + printable(id) + "\n");
  if (!is_queue_id(id)) return exit_code::bad_data;
  Follower follower(common, *client, id);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout);
  std::optional<int> end;
  while (!(end = follower.look()) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(kLookEvery);
  if (common.json) print(follower.last());
  if (end) return *end;
  complain("the message still waits; see holdfast trace " + printable(id));
  return exit_code::try_again;
}

}  // namespace holdfast
