// The part of the CommandTree about what is asked of others and published for them: MTA-STS, TLS reports,
// DKIM keys, the relay's own records.
#include <CLI/CLI.hpp>

#include "mta/cli/command_tree.h"
#include "mta/cli/tlsrpt_read.h"

namespace holdfast {

void CommandTree::policy() {
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

void CommandTree::keys() {
  CLI::App& dkim = group("dkim", "signing keys");
  const auto with_keys = [this](CLI::App* command) {
    with_json(with_config(command))
        ->add_option("DOMAIN", p_.dkim.domains, "default: every domain that has a key")
        ->type_name("");
    command->add_option("--selector", p_.dkim.selector, "default: that of dkim.selector")->type_name("NAME");
    return command;
  };
  CLI::App* keygen = with_keys(leaf(dkim, "keygen", "makes keys that are not there yet; prints their records",
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

}  // namespace holdfast
