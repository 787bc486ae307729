#include "mta/cli/cli.h"

#include <CLI/CLI.hpp>

#include "mta/cli/check_command.h"
#include "mta/cli/command_info.h"
#include "mta/cli/config_commands.h"
#include "mta/cli/dkim_commands.h"
#include "mta/cli/init_command.h"
#include "mta/cli/queue_commands.h"
#include "mta/cli/relay_commands.h"
#include "mta/cli/selftest_command.h"
#include "mta/cli/tlsrpt_read.h"
#include "mta/cli/trace_command.h"
#include "mta/cli/user_commands.h"
#include "mta/service.h"

namespace holdfast {
namespace {

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

// Builds the tree. Each leaf stores what to run; nothing runs while parsing.
class Tree {
 public:
  Tree(CLI::App& root, Parsed& parsed) : root_(root), p_(parsed) {
    root_.require_subcommand(1);
    service();
    config();
    queue();
    messages();
    policy();
    keys();
    users();
    documents();
  }

 private:
  CLI::App* leaf(CLI::App& parent, const char* name, const char* what, Run run) {
    CLI::App* command = parent.add_subcommand(name, what);
    command->callback([this, run = std::move(run)] { p_.run = run; });
    return command;
  }
  CLI::App* with_config(CLI::App* command) {
    command
        ->add_option("-c,--config", p_.common.config,
                     std::string("the configuration; default ") + kDefaultConfig)
        ->type_name("FILE");
    return command;
  }
  CLI::App* with_json(CLI::App* command) {
    command->add_flag("--json", p_.common.json, "JSON lines");
    return command;
  }
  // Commands that talk to the running relay.
  CLI::App* with_relay(CLI::App* command) {
    with_config(command)
        ->add_option("--socket", p_.common.socket, "the admin socket, instead of the configuration's")
        ->type_name("SOCKET");
    return with_json(command);
  }
  CLI::App& group(const char* name, const char* what) {
    CLI::App* command = root_.add_subcommand(name, what);
    command->require_subcommand(1);
    return *command;
  }

  void service() {
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

  void init() {
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

  void config() {
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

  void add_filters(CLI::App* command) {
    command->add_option("--to", p_.queue.to, "recipient holds this text")->type_name("TEXT");
    command->add_option("--from", p_.queue.from, "sender holds this text")->type_name("TEXT");
    command->add_option("--user", p_.queue.user, "submitted by this user")->type_name("NAME");
    command->add_option("--domain", p_.queue.domain, "to this recipient domain")->type_name("DOMAIN");
    command->add_option("--older", p_.queue.older, "accepted longer ago than this, such as 2h")
        ->type_name("TIME");
    command->add_option("--newer", p_.queue.newer, "accepted within this time, such as 30m")
        ->type_name("TIME");
    command->add_option("--error", p_.queue.error, "last reason holds this text")->type_name("TEXT");
    command->add_option("--state", p_.queue.state, "queued, deferred, active, held, …")->type_name("STATE");
    command->add_option("--limit", p_.queue.limit, "at most so many recipients")->type_name("N");
  }

  void queue() {
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

  void messages() {
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

  void keys() {
    CLI::App& dkim = group("dkim", "signing keys");
    const auto with_keys = [this](CLI::App* command) {
      with_json(with_config(command))
          ->add_option("DOMAIN", p_.dkim.domains, "default: every domain that has a key")
          ->type_name("");
      command->add_option("--selector", p_.dkim.selector, "default: that of dkim.selector")
          ->type_name("NAME");
      return command;
    };
    CLI::App* keygen =
        with_keys(leaf(dkim, "keygen", "makes keys that are not there yet; prints their records",
                       [this] { return dkim_keygen(p_.common, p_.dkim); }));
    keygen->add_option("--algorithm", p_.dkim.algorithm, "rsa (the default) or ed25519")->type_name("NAME");
    with_keys(leaf(dkim, "txt", "the records of all keys, to publish",
                   [this] { return dkim_txt(p_.common, p_.dkim); }));
    with_keys(leaf(dkim, "check", "compares the keys with their records in DNS",
                   [this] { return dkim_check(p_.common, p_.dkim); }));
    CLI::App& dns = group("dns", "the relay's own records");
    CLI::App* check = with_json(with_config(
        leaf(dns, "check", "verifies what `init` told to publish: address, PTR, SPF, DKIM, TLS-RPT, MTA-STS",
             [this] { return dns_check(p_.common, p_.dns); })));
    check
        ->add_option("--domain", p_.dns.domains,
                     "a domain that sends; may be repeated; default: those with a key")
        ->allow_extra_args(false)
        ->type_name("DOMAIN");
    check
        ->add_option(
            "--address", p_.dns.addresses,
            "a public address of the relay; may be repeated; default: those of [[source]] or of the name")
        ->allow_extra_args(false)
        ->type_name("IP");
  }

  void policy() {
    CLI::App* check = with_json(with_config(
        leaf(root_, "check", "dry run: what a message to a domain would meet now, and why; sends no mail",
             [this] { return check_domain_command(p_.common, p_.domain); })));
    check->add_option("DOMAIN", p_.domain, "a recipient domain")->required()->type_name("");
    CLI::App& sts = group("sts", "MTA-STS policies");
    CLI::App* show =
        with_relay(leaf(sts, "show", "cached policies", [this] { return sts_show(p_.common, p_.domain); }));
    show->add_option("DOMAIN", p_.domain, "only this domain")->type_name("");
    CLI::App* refresh = with_relay(leaf(sts, "refresh", "fetches the policy now, also of a domain never seen",
                                        [this] { return sts_refresh(p_.common, p_.domain); }));
    refresh->add_option("DOMAIN", p_.domain, "a recipient domain")->required()->type_name("");
    CLI::App* flush = with_relay(leaf(sts, "flush", "forgets cached policies, also enforced ones",
                                      [this] { return sts_flush(p_.common, p_.domain); }));
    flush->add_option("DOMAIN", p_.domain, "only this domain")->type_name("");
    CLI::App* lint = with_json(with_config(
        leaf(sts, "lint", "finds mistakes in a policy; of a domain also in its record and its MX list",
             [this] { return sts_lint(p_.common, p_.lint); })));
    lint->add_option("SUBJECT", p_.lint.subject, "a policy file, or a domain")->required()->type_name("");
    lint->add_option("--record", p_.lint.records, "a TXT record as it will be published")->type_name("TEXT");
    lint->add_option("--mx", p_.lint.mx, "an MX host of the domain; repeat it")->type_name("HOST");
    CLI::App* generate =
        with_json(with_config(leaf(sts, "generate", "prints record, policy and zone lines to publish",
                                   [this] { return sts_generate(p_.common, p_.generate); })));
    generate->add_option("DOMAIN", p_.generate.domain, "a domain of yours")->required()->type_name("");
    generate->add_option("--mode", p_.generate.mode, "testing (the default), enforce or none")
        ->type_name("MODE");
    generate->add_option("--mx", p_.generate.mx, "an MX host; may be repeated; default: those of now")
        ->allow_extra_args(false)
        ->type_name("HOST");
    generate->add_option("--max-age", p_.generate.max_age, "seconds; default a week")
        ->check(CLI::Range(std::int64_t{86400}, std::int64_t{31557600}))
        ->type_name("SECONDS");
    CLI::App& tlsrpt = group("tlsrpt", "TLS reports");
    CLI::App* preview = with_relay(leaf(tlsrpt, "preview", "the day's reports as they would go out",
                                        [this] { return tlsrpt_preview(p_.common, p_.day, p_.domain); }));
    preview->add_option("--day", p_.day, "today or YYYY-MM-DD (UTC)")->type_name("DAY");
    preview->add_option("--domain", p_.domain, "only this policy domain")->type_name("DOMAIN");
    CLI::App* reports =
        with_relay(leaf(tlsrpt, "status", "which reports went out, wait or were given up, and why",
                        [this] { return tlsrpt_status(p_.common, p_.report_day, p_.all); }));
    reports->add_option("--day", p_.report_day, "only this day, YYYY-MM-DD (UTC)")->type_name("DAY");
    reports->add_flag("--all", p_.all, "also of domains that asked for none");
    CLI::App* send = with_relay(leaf(tlsrpt, "send", "sends the reports of a day that is over now",
                                     [this] { return tlsrpt_send(p_.common, p_.report_day); }));
    send->add_option("--day", p_.report_day, "YYYY-MM-DD (UTC)")->required()->type_name("DAY");
    CLI::App* read = with_json(leaf(tlsrpt, "read", "what reports received from others say, and what to do",
                                    [this] { return tlsrpt_read(p_.common, p_.files); }));
    read->add_option("FILE", p_.files, ".json, .json.gz or .eml; a directory of such; - for standard input")
        ->required()
        ->type_name("");
  }

  CLI::App* user_command(CLI::App& user, const char* name, const char* what, Run run) {
    CLI::App* command = with_config(leaf(user, name, what, std::move(run)));
    command->add_option("NAME", p_.user.name, "the user's name")->required()->type_name("");
    return command;
  }

  void users() {
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

  void documents() {
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

  CLI::App& root_;
  Parsed& p_;
};

// Names the first word that is no command, which CLI11 reports only as a missing one.
void suggest(const CommandInfo& root, int argc, const char* const* argv) {
  const CommandInfo* at = &root;
  for (int i = 1; i < argc && !at->commands.empty(); ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) return;
    std::vector<std::string> names;
    const CommandInfo* next = nullptr;
    for (const CommandInfo& child : at->commands) {
      names.push_back(child.name);
      if (child.name == word) next = &child;
    }
    if (!next) {
      const std::string near = nearest(word, names);
      return complain("there is no command \"" + printable(word) + "\"" +
                      (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
    }
    at = next;
  }
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  Parsed parsed;
  CLI::App root(
      "a sending mail server that never sends with less protection than the recipient's domain asks for",
      "holdfast");
  const Tree tree(root, parsed);
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help is an answer; everything else is a wrong command line.
    const int code = root.exit(error);
    if (code != 0) suggest(describe(root), argc, argv);
    return code == 0 ? exit_code::yes : exit_code::usage;
  }
  const int code = parsed.run();
  if (std::fflush(stdout) != 0)
    return exit_code::try_again;  // a full disk or a closed pipe: the answer was not given
  return code;
}

}  // namespace holdfast
