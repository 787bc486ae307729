// mta/cli/command_tree.h — the one tree of commands, of which each leaf knows what to run.
//
// In three files: what commands have in common, service, configuration, users and documents
// (command_tree.cc), mail (…_queue.cc), policies, reports and keys (…_policy.cc). CLI11 is known to these and
// to cli.cc only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mta/cli/check_command.h"
#include "mta/cli/command_info.h"
#include "mta/cli/config_commands.h"
#include "mta/cli/dkim_commands.h"
#include "mta/cli/init_command.h"
#include "mta/cli/queue_commands.h"
#include "mta/cli/relay_commands.h"
#include "mta/cli/trace_command.h"
#include "mta/cli/user_commands.h"

namespace CLI {
class App;
}

namespace holdfast {

CommandInfo describe(const CLI::App& app);

// Builds the tree. Each leaf stores what to run; nothing runs while parsing.
class CommandTree {
 public:
  using Run = std::function<int()>;

  // What options are parsed into, and the command that was chosen.
  struct Parsed {
    CommonOptions common;
    QueueOptions queue;
    UserOptions user;
    InitOptions init;
    GenerateOptions generate;
    LintOptions lint;
    DkimOptions dkim;
    DnsOptions dns;
    SendTestOptions send_test;
    std::string id, domain, shell;
    std::string day = "today", report_day;
    std::vector<std::string> files;
    bool all = false;
    bool origin = false, markdown = false, ready = false;
    Run run;
  };

  CommandTree(CLI::App& root, Parsed& parsed);  // both outlive it

 private:
  CLI::App* leaf(CLI::App& parent, const char* name, const char* what, Run run);
  CLI::App* with_config(CLI::App* command);
  CLI::App* with_json(CLI::App* command);
  // Commands that talk to the running relay.
  CLI::App* with_relay(CLI::App* command);
  CLI::App& group(const char* name, const char* what);
  void add_filters(CLI::App* command);
  CLI::App* user_command(CLI::App& user, const char* name, const char* what, Run run);

  void service();
  void init();
  void config();
  void queue();
  void messages();
  void policy();
  void keys();
  void users();
  void documents();

  CLI::App& root_;
  Parsed& p_;
};

}  // namespace holdfast
