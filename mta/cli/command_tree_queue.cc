// The part of the CommandTree about mail: the queue, destinations, single messages.
#include <CLI/CLI.hpp>

#include "mta/cli/command_tree.h"

namespace holdfast {

void CommandTree::add_filters(CLI::App* command) {
  command->add_option("--to", p_.queue.to, "recipient holds this text")->type_name("TEXT");
  command->add_option("--from", p_.queue.from, "sender holds this text")->type_name("TEXT");
  command->add_option("--user", p_.queue.user, "submitted by this user")->type_name("NAME");
  command->add_option("--domain", p_.queue.domain, "to this recipient domain")->type_name("DOMAIN");
  command->add_option("--older", p_.queue.older, "accepted longer ago than this, such as 2h")
      ->type_name("TIME");
  command->add_option("--newer", p_.queue.newer, "accepted within this time, such as 30m")->type_name("TIME");
  command->add_option("--error", p_.queue.error, "last reason holds this text")->type_name("TEXT");
  command->add_option("--state", p_.queue.state, "queued, deferred, active, held, …")->type_name("STATE");
  command->add_option("--limit", p_.queue.limit, "at most so many recipients")->type_name("N");
}

void CommandTree::queue() {
  CLI::App& queue = group("queue", "messages that wait");
  add_filters(with_relay(
      leaf(queue, "list", "one line per recipient", [this] { return queue_list(p_.common, p_.queue); })));
  CLI::App* summary = with_relay(leaf(queue, "summary", "how much waits, and by what",
                                      [this] { return queue_summary(p_.common, p_.queue); }));
  summary->add_option("--by", p_.queue.by, "domain (the default), state, age, error, sender or user")
      ->type_name("WHAT");
  add_filters(summary);
  CLI::App* show = with_relay(leaf(queue, "show", "one message, its recipients and its history",
                                   [this] { return queue_show(p_.common, p_.id); }));
  show->add_option("ID", p_.id, "queue id")->required()->type_name("");
  const std::pair<const char*, const char*> changes[] = {
      {"retry", "tries again at once"},
      {"hold", "keeps back until released"},
      {"release", "lets go what was held"},
      {"bounce", "gives up, and tells the sender"},
      {"remove", "drops without a word to the sender"},
  };
  for (const auto& [name, what] : changes) {
    const std::string change = name;
    CLI::App* command = with_relay(
        leaf(queue, name, what, [this, change] { return queue_change(p_.common, change, p_.queue); }));
    command->add_option("ID", p_.queue.ids, "queue ids; or filters")->type_name("");
    add_filters(command);
    command->add_flag("--all", p_.queue.all, "every message");
    command->add_flag("--yes", p_.queue.yes, "do not ask");
    if (change == "bounce")
      command->add_option("--reason", p_.queue.reason, "what the sender is told")->type_name("TEXT");
  }
  CLI::App* archive =
      with_relay(leaf(queue, "export", "a tar archive of messages, each with its content and its envelope",
                      [this] { return queue_export(p_.common, p_.queue); }));
  archive->add_option("-o,--output", p_.queue.output, "a new file, instead of standard output")
      ->type_name("FILE");
  add_filters(archive);
  CLI::App& destination = group("destination", "where mail goes");
  with_relay(leaf(destination, "list", "state of each destination, and why it waits",
                  [this] { return destination_list(p_.common); }));
  CLI::App* state = with_relay(leaf(destination, "show", "one destination, its last reply and why it waits",
                                    [this] { return destination_show(p_.common, p_.id); }));
  state->add_option("NAME", p_.id, "as the list names it")->required()->type_name("");
  const std::pair<const char*, const char*> switches[] = {
      {"pause", "sends nothing there until it is resumed"},
      {"resume", "sends again, at once"},
  };
  for (const auto& [name, what] : switches) {
    const std::string change = name;
    CLI::App* command = with_relay(leaf(
        destination, name, what, [this, change] { return destination_change(p_.common, change, p_.id); }));
    command->add_option("NAME", p_.id, "as the list names it")->required()->type_name("");
  }
}

void CommandTree::messages() {
  CLI::App* trace_command = with_relay(
      leaf(root_, "trace",
           "what became of a message, with transcripts of failed attempts; without an id, finds messages",
           [this] { return trace(p_.common, p_.id, p_.queue); }));
  CLI::Option* id = trace_command->add_option("ID", p_.id, "queue id; without it, filters find messages");
  id->type_name("");
  trace_command->add_option("--message", p_.id, "the same as ID")->type_name("ID")->excludes(id);
  add_filters(trace_command);
  CLI::App* test = with_relay(leaf(root_, "send-test", "sends a test message through the queue",
                                   [this] { return send_test(p_.common, p_.send_test); }));
  test->add_option("ADDRESS", p_.send_test.address, "to whom")->required()->type_name("");
  test->add_flag("--wait", p_.send_test.wait, "follows it to its end");
  test->add_option("--timeout", p_.send_test.timeout, "how long to wait; default 120")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{86400}))
      ->type_name("SECONDS");
}

}  // namespace holdfast
