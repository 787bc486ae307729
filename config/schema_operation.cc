#include "config/key_builder.h"
#include "config/schema_keys.h"
#include "config/schema_values.h"
#include "config/units.h"

namespace holdfast {

namespace {

using namespace std::chrono_literals;

}  // namespace

std::vector<Key> tlsrpt_keys() {
  KeyBuilder<TlsrptSettings> k;
  k.flag("enabled", &TlsrptSettings::enabled, true, "send daily TLS reports (RFC 8460)");
  k.text("organization", &TlsrptSettings::organization, "", "a text; \"\" = hostname",
         "organization-name of the reports");
  k.text("contact", &TlsrptSettings::contact, "", "an address; \"\" = postmaster@hostname",
         "contact-info; its domain is submitter, From and DKIM domain of the reports", check_address);
  k.texts("exclude", &TlsrptSettings::exclude, {}, "domains", "no reports for these", check_domain);
  k.duration("jitter", &TlsrptSettings::jitter, "4h", 0ms, 1 * kOneDay,
             "reports are spread over so long after midnight UTC");
  k.flag("only_failures", &TlsrptSettings::only_failures, false, "no report for a day without failures");
  k.flag("https", &TlsrptSettings::https, true, "send to https: targets too");
  k.integer("https_port", &TlsrptSettings::https_port, 443, 1, 65535,
            "port of https: targets that name none");
  k.duration("retry_for", &TlsrptSettings::retry_for, "24h", 0ms, 7 * kOneDay,
             "a report that cannot be sent is given up after so long");
  return k.take();
}

std::vector<Key> dkim_keys() {
  KeyBuilder<DkimSettings> k;
  k.choice<DkimSigning>("sign", &DkimSettings::sign, "off",
                        {{"off", DkimSigning::off}, {"sender-domain", DkimSigning::sender_domain}},
                        "sign messages with the key of the From domain");
  k.text("selector", &DkimSettings::selector, "holdfast", "a selector", "the name of the keys in use",
         check_selector);
  k.path("key_dir", &DkimSettings::key_dir, "", "a path; \"\" = data_dir/dkim",
         "keys as DOMAIN/SELECTOR.pem");
  return k.take();
}

std::vector<Key> queue_keys() {
  KeyBuilder<QueueSettings> k;
  k.text("engine", &QueueSettings::engine, "sqlite", "sqlite", "where the queue is kept",
         [](const std::string& text) {
           return text == "sqlite" ? std::string() : quote_toml(text) + " is not one of sqlite";
         });
  k.size("inline_limit", &QueueSettings::inline_limit, "256KiB", 1 * KiB, 16 * MiB,
         "larger bodies are files of their own");
  k.converted(
      "min_free_space", &QueueSettings::min_free_space, "5%", "a percentage or a size",
      "below it MAIL gets 452; what is queued still leaves",
      [](const std::string& text, DiskReserve& out) -> std::string {
        const auto reserve = parse_disk_reserve(text);
        if (!reserve)
          return quote_toml(text) + " is no reserve; write \"5%\" (0% to 99%) or a size such as \"1GiB\"";
        return out = *reserve, "";
      },
      print_disk_reserve);
  k.duration("history", &QueueSettings::history, "7d", 0ms, 366 * kOneDay,
             "what became of a message is kept so long");
  k.size("history_size", &QueueSettings::history_size, "1GiB", 0, 1 * TiB, "the older goes first");
  k.duration("bounce_expire", &QueueSettings::bounce_expire, "1d", 1min, 30 * kOneDay,
             "lifetime of null-sender mail");
  return k.take();
}

std::vector<Key> admin_keys() {
  KeyBuilder<AdminSettings> k;
  k.path("socket", &AdminSettings::socket, "", "a path; \"\" = data_dir/admin.sock",
         "unix socket of the command line");
  k.converted("http", &AdminSettings::http, "127.0.0.1:8080", "address:port; \"\" = off",
              "/livez, /readyz, /metrics and the status page", read_http, print_http);
  k.secret_file("token_file", &AdminSettings::token, "file with the token asked for outside loopback",
                &AdminSettings::token_file);
  return k.take();
}

std::vector<Key> log_keys() {
  KeyBuilder<LogSettings> k;
  k.choice<LogFormat>("format", &LogSettings::format, "auto",
                      {{"auto", LogFormat::automatic}, {"text", LogFormat::text}, {"json", LogFormat::json}},
                      "auto: text on a terminal, else JSON lines");
  k.choice<LogLevel>("level", &LogSettings::level, "info",
                     {{"trace", LogLevel::trace},
                      {"debug", LogLevel::debug},
                      {"info", LogLevel::info},
                      {"warning", LogLevel::warning},
                      {"error", LogLevel::error}},
                     "least severe diagnostics written; events are always written");
  k.choice<LogAddresses>(
      "addresses", &LogSettings::addresses, "full",
      {{"full", LogAddresses::full}, {"masked", LogAddresses::masked}, {"hmac", LogAddresses::hmac}},
      "how mail addresses appear: whole, a***@domain, or a keyed hash");
  return k.take();
}

std::vector<Key> shutdown_keys() {
  KeyBuilder<ShutdownSettings> k;
  k.duration("grace", &ShutdownSettings::grace, "25s", 1s, 10min,
             "SIGTERM: what is in hand may finish so long");
  return k.take();
}

}  // namespace holdfast
