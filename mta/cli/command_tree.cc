#include "mta/cli/command_tree.h"

#include <CLI/CLI.hpp>

#include "mta/cli/selftest_command.h"
#include "mta/service.h"

namespace holdfast {
namespace {

// `queue remove "$ID"` with a variable that is not set must not mean `queue remove`, nor `-c ""` another
// relay: whoever wants nothing leaves the word out.
std::string why_not_empty(const std::string& value) {
  return value.empty() ? "the value is empty; write one, or leave it out" : "";
}

void refuse_empty_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (option->get_items_expected_max() > 0) option->check(why_not_empty);
  for (CLI::App* child : app.get_subcommands([](CLI::App*) { return true; })) refuse_empty_values(*child);
}

}  // namespace

CommandInfo describe(const CLI::App& app) {
  CommandInfo info;
  info.name = app.get_name();
  info.description = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    OptionInfo out;
    for (const std::string& name : option->get_snames()) out.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) out.names.push_back("--" + name);
    const bool flag = option->get_items_expected_max() == 0;
    if (!flag)
      out.value =
          out.names.empty() && option->get_type_name().empty() ? option->get_name() : option->get_type_name();
    out.description = option->get_description();
    out.is_file = out.value == "FILE" || out.value == "DIR" || out.value == "SOCKET";
    out.required = option->get_required();
    info.options.push_back(std::move(out));
  }
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; }))
    info.commands.push_back(describe(*child));
  return info;
}

CommandTree::CommandTree(CLI::App& root, Parsed& parsed) : root_(root), p_(parsed) {
  root_.require_subcommand(1);
  service();
  config();
  queue();
  messages();
  policy();
  keys();
  users();
  documents();
  refuse_empty_values(root_);
}

CLI::App* CommandTree::leaf(CLI::App& parent, const char* name, const char* what, Run run) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->callback([this, run = std::move(run)] { p_.run = run; });
  return command;
}

CLI::App* CommandTree::with_config(CLI::App* command) {
  command
      ->add_option("-c,--config", p_.common.config,
                   std::string("the configuration; default ") + kDefaultConfig)
      ->type_name("FILE");
  return command;
}

CLI::App* CommandTree::with_json(CLI::App* command) {
  command->add_flag("--json", p_.common.json, "JSON lines");
  return command;
}

// Commands that talk to the running relay.
CLI::App* CommandTree::with_relay(CLI::App* command) {
  with_config(command)
      ->add_option("--socket", p_.common.socket, "the admin socket, instead of the configuration's")
      ->type_name("SOCKET");
  return with_json(command);
}

CLI::App& CommandTree::group(const char* name, const char* what) {
  CLI::App* command = root_.add_subcommand(name, what);
  command->require_subcommand(1);
  return *command;
}

void CommandTree::service() {
  with_config(leaf(root_, "serve", "runs the relay; SIGTERM drains, SIGHUP reloads", [this] {
    ServeOptions options;
    options.config_file = p_.common.config;
    return run_service(options);
  }));
  init();
  CLI::App* health = with_relay(leaf(root_, "health", "is the relay alive, or with --ready able to work",
                                     [this] { return relay_health(p_.common, p_.ready); }));
  health->add_flag("--ready", p_.ready, "also: store writable, resolver answers, listeners up");
  with_relay(
      leaf(root_, "status", "one page of the relay's state", [this] { return relay_status(p_.common); }));
  with_config(leaf(root_, "selftest", "proves on loopback that mail is held under each attack",
                   [this] { return selftest(p_.common); }));
  with_relay(leaf(root_, "reload", "reads the configuration again, as SIGHUP does",
                  [this] { return relay_reload(p_.common); }));
}

void CommandTree::init() {
  CLI::App* init =
      leaf(root_, "init", "writes a first configuration, a user and DKIM keys; prints the DNS to publish",
           [this] { return init_directory(p_.init); });
  init->add_option("DIR", p_.init.directory, "for the configuration, such as /etc/holdfast")
      ->required()
      ->type_name("");
  init->add_option("--hostname", p_.init.hostname, "the relay's EHLO name")->type_name("NAME");
  init->add_option("--organization", p_.init.organization, "as TLS reports name it")->type_name("TEXT");
  const auto repeated = [&](const char* name, std::vector<std::string>& into, const char* what,
                            const char* type) {
    init->add_option(name, into, what)->allow_extra_args(false)->type_name(type);
  };
  repeated("--domain", p_.init.domains, "a domain that sends through it; may be repeated", "DOMAIN");
  repeated("--address", p_.init.addresses, "a public address of the relay; may be repeated", "IP");
  repeated("--mx", p_.init.mx, "an MX of the domains, for their MTA-STS policy; may be repeated", "HOST");
  init->add_option("--user", p_.init.user, "the first user; may send as any of the domains")
      ->type_name("NAME");
  init->add_option("--password-file", p_.init.password_file, "its first line is the user's password")
      ->type_name("FILE");
  init->add_option("--data-dir", p_.init.data_dir, "where the queue is kept")->type_name("DIR");
}

void CommandTree::config() {
  CLI::App& config = group("config", "the configuration");
  with_json(with_config(leaf(config, "check", "finds every mistake, with its line and what mends it",
                             [this] { return config_check(p_.common); })));
  CLI::App* show = with_config(leaf(config, "show", "the effective values; secrets are masked",
                                    [this] { return config_show(p_.common, p_.origin); }));
  show->add_flag("--origin", p_.origin, "where each value came from");
  CLI::App* reference = with_config(leaf(config, "reference", "every key with its default and what it does",
                                         [this] { return config_reference(p_.markdown); }));
  reference->add_flag("--markdown", p_.markdown, "as a table for the README");
}

CLI::App* CommandTree::user_command(CLI::App& user, const char* name, const char* what, Run run) {
  CLI::App* command = with_config(leaf(user, name, what, std::move(run)));
  command->add_option("NAME", p_.user.name, "the user's name")->required()->type_name("");
  return command;
}

void CommandTree::users() {
  CLI::App& user = group("user", "who may submit");
  CLI::App* add =
      user_command(user, "add", "adds a user; the password comes from a terminal, standard input or a file",
                   [this] { return user_add(p_.common, p_.user); });
  add->add_option("--sender", p_.user.senders,
                  "may send as: a@b.example, @b.example, @.b.example or *; may be repeated")
      ->required()
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  add->add_option("--messages", p_.user.messages, "messages, such as 2000/h")->type_name("RATE");
  add->add_option("--recipients", p_.user.recipients, "recipients, such as 20000/d")->type_name("RATE");
  add->add_flag("--tls-required-no", p_.user.tls_required_no, "may send `TLS-Required: No`");
  with_json(with_config(leaf(user, "list", "all users", [this] { return user_list(p_.common); })));
  CLI::App* passwd = user_command(user, "passwd", "changes the password",
                                  [this] { return user_passwd(p_.common, p_.user); });
  for (CLI::App* command : {add, passwd})
    command->add_option("--password-file", p_.user.password_file, "its first line is the password")
        ->type_name("FILE");
  user_command(user, "remove", "removes a user", [this] { return user_remove(p_.common, p_.user); });
  CLI::App* suspend = user_command(user, "suspend", "lets a user log in no more",
                                   [this] { return user_suspend(p_.common, p_.user); });
  CLI::Option* resume = suspend->add_flag("--resume", p_.user.resume, "lets the user log in again");
  suspend->add_flag("--hold", p_.user.hold, "holds the user's mail in the queue of the running relay")
      ->excludes(resume);
  suspend->add_flag("--release", p_.user.release, "with --resume: releases the user's held mail")
      ->needs(resume);
}

void CommandTree::documents() {
  CLI::App* completion = leaf(root_, "completion", "prints completions for bash, zsh or fish", [this] {
    const std::string script = completion_script(describe(root_), p_.shell);
    if (script.empty())
      return complain("\"" + printable(p_.shell) + "\" is none of bash, zsh, fish"), exit_code::usage;
    return print(script), exit_code::yes;
  });
  completion->add_option("SHELL", p_.shell, "bash, zsh or fish")->required()->type_name("");
  CLI::App* manual = leaf(root_, "man", "prints the manual page", [this] {
    print(p_.markdown ? command_table(describe(root_)) : manual_page(describe(root_), HOLDFAST_VERSION));
    return exit_code::yes;
  });
  manual->add_flag("--markdown", p_.markdown, "as a table for the README");
  leaf(root_, "version", "prints the version",
       [] { return print("holdfast " HOLDFAST_VERSION "\n"), exit_code::yes; });
}

}  // namespace holdfast
