#include "config/schema.h"

#include <algorithm>

#include "config/key_builder.h"
#include "config/schema_values.h"

namespace holdfast {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB, TiB = 1024 * GiB;
constexpr auto day = 24h;

const std::vector<Choice<PolicyMode>> policy_modes = {
    {"enforce", PolicyMode::enforce}, {"observe", PolicyMode::observe}, {"off", PolicyMode::off}};

std::vector<Key> top_keys() {
  KeyBuilder<Settings> k;
  k.text("hostname", &Settings::hostname, "", "a host name",
         "the name this relay says in EHLO; its address's PTR should say it too", check_hostname)
      .must()
      .such_as("\"relay.example.com\"");
  k.text("postmaster", &Settings::postmaster, "", "an address; \"\" = postmaster@hostname",
         "receives double bounces and mail to <Postmaster>", check_address);
  k.path("data_dir", &Settings::data_dir, "/var/lib/holdfast", "a path",
         "queue, caches, ledger, keys and users: the only volume");
  return k.take();
}

std::vector<Key> runtime_keys() {
  KeyBuilder<RuntimeSettings> k;
  k.integer("threads", &RuntimeSettings::threads, 0, 0, 256, "worker threads; 0 = the number of cores");
  return k.take();
}

std::vector<Key> listener_keys() {
  KeyBuilder<ListenerSettings> k;
  k.converted("bind", &ListenerSettings::bind, "[::]:587", "address:port",
              "where to listen; [::] takes IPv4 too", read_bind, print_host_port);
  k.choice<ListenerMode>("mode", &ListenerSettings::mode, "submission",
                         {{"submission", ListenerMode::submission},
                          {"submissions", ListenerMode::submissions},
                          {"trusted", ListenerMode::trusted}},
                         "submission: STARTTLS and AUTH; submissions: implicit TLS; trusted: no AUTH, only "
                         "auth.trusted_networks");
  k.integer("max_connections", &ListenerSettings::max_connections, 1000, 1, 1'000'000,
            "at once; further ones wait to be accepted");
  k.integer("max_connections_per_ip", &ListenerSettings::max_connections_per_ip, 50, 1, 1'000'000,
            "at once from one address");
  k.duration("idle_timeout", &ListenerSettings::idle_timeout, "5m", 1s, 1h,
             "a silent client is cut after so long");
  k.converted(
      "min_rate", &ListenerSettings::min_rate, "100B/s", "bytes per second such as \"100B/s\"; \"0\" = none",
      "slower clients are cut while they send a message",
      [](const std::string& text, std::uint64_t& out) -> std::string {
        const auto rate = parse_byte_rate(text);
        if (!rate) return quote_toml(text) + " is not a data rate; write \"100B/s\" or \"1KiB/s\"";
        return out = *rate, "";
      },
      print_byte_rate);
  return k.take();
}

std::vector<Key> tls_keys() {
  KeyBuilder<ServerTlsSettings> k;
  k.path("certificate", &ServerTlsSettings::certificate, "", "a path",
         "PEM certificate chain shown to clients; watched and reloaded");
  k.path("private_key", &ServerTlsSettings::private_key, "", "a path", "PEM key of that certificate");
  k.choice<IfMissing>("if_missing", &ServerTlsSettings::if_missing, "self-signed",
                      {{"self-signed", IfMissing::self_signed}, {"fail", IfMissing::fail}},
                      "without a certificate: make one, loudly, or refuse to start");
  k.text("min_version", &ServerTlsSettings::min_version, "1.2", "1.2 | 1.3",
         "lowest TLS version that clients may use", check_tls_version);
  return k.take();
}

std::vector<Key> trust_keys() {
  KeyBuilder<TrustSettings> k;
  k.path("ca_file", &TrustSettings::ca_file, "", "a path; \"\" = the system's roots",
         "PEM roots for MX hosts, policy hosts and HTTPS report targets");
  return k.take();
}

std::vector<Key> auth_keys() {
  KeyBuilder<AuthSettings> k;
  k.texts("mechanisms", &AuthSettings::mechanisms, {"PLAIN", "LOGIN"}, "PLAIN, LOGIN, SCRAM-SHA-256",
          "offered under TLS only", check_mechanism);
  k.list("trusted_networks", &AuthSettings::trusted_networks, {}, "networks",
         "clients that a trusted listener serves", read_network, print_network);
  k.rate("max_failures", &AuthSettings::max_failures, "10/10m",
         "failed logins per address before it is locked out");
  k.duration("cache", &AuthSettings::cache, "5m", 0ms, 1h,
             "a verified password is not hashed again for so long");
  k.path("users_file", &AuthSettings::users_file, "", "a path; \"\" = data_dir/users",
         "users kept by `holdfast user`");
  return k.take();
}

std::vector<Key> user_keys() {
  KeyBuilder<UserSettings> k;
  k.text("name", &UserSettings::name, "", "a name", "what the client logs in as", check_user_name)
      .must()
      .such_as("\"app\"");
  k.secret_file("password_file", &UserSettings::password, "file with the password or its crypt hash")
      .such_as("\"/run/secrets/app\"");
  k.text("password_hash", &UserSettings::password_hash, "", "a crypt hash ($y$…)", "instead of password_file",
         check_hash)
      .masked();
  k.texts("senders", &UserSettings::senders, {}, "addresses, @domain, @.domain, *",
          "what it may use in MAIL FROM and From:", check_sender)
      .such_as("[\"@example.com\"]");
  k.rate("messages", &UserSettings::messages, "", "messages it may submit").such_as("\"2000/h\"");
  k.rate("recipients", &UserSettings::recipients, "", "recipients it may send to").such_as("\"20000/d\"");
  k.flag("tls_required_no", &UserSettings::tls_required_no, false,
         "may it send `TLS-Required: No` (RFC 8689)")
      .later();
  return k.take();
}

std::vector<Key> limits_keys() {
  KeyBuilder<LimitsSettings> k;
  k.size("message_size", &LimitsSettings::message_size, "25MiB", 64 * KiB, 2 * GiB,
         "the largest message taken");
  // RFC 5321 section 4.5.3.1.8: at least 100 recipients.
  k.integer("recipients_per_message", &LimitsSettings::recipients_per_message, 100, 1, 100'000,
            "RCPT commands taken per message");
  k.integer("received_hops", &LimitsSettings::received_hops, 30, 5, 200,
            "more Received fields than this are a loop");
  k.integer("line_length", &LimitsSettings::line_length, 998, 998, 1'000'000,
            "octets of a body line without CRLF");
  k.choice<LongLines>("long_lines", &LimitsSettings::long_lines, "refuse",
                      {{"refuse", LongLines::refuse}, {"accept", LongLines::accept}},
                      "what happens to messages with longer lines");
  k.size("header_size", &LimitsSettings::header_size, "256KiB", 8 * KiB, 16 * MiB,
         "the largest header section taken");
  k.flag("hide_client", &LimitsSettings::hide_client, false, "leave the client's address out of Received");
  return k.take();
}

std::vector<Key> dns_keys() {
  KeyBuilder<DnsSettings> k;
  k.texts("servers", &DnsSettings::servers, {}, "address or name, with :port; [] = resolv.conf",
          "resolvers asked", check_server);
  k.choice<DnssecTrust>(
      "dnssec", &DnsSettings::dnssec, "auto",
      {{"auto", DnssecTrust::automatic},
       {"trust", DnssecTrust::trust},
       {"required", DnssecTrust::required},
       {"off", DnssecTrust::off}},
      "auto: believe the AD bit of resolvers on loopback; trust: of all, the path to them is safe; "
      "required: trust, and refuse to start when they do not validate");
  k.duration("timeout", &DnsSettings::timeout, "5s", 100ms, 1min, "for one question, all tries together");
  return k.take();
}

std::vector<Key> egress_keys() {
  KeyBuilder<EgressSettings> k;
  k.list("allow", &EgressSettings::allow, {}, "networks",
         "networks that are not global addresses and may be reached all the same", read_network,
         print_network);
  return k.take();
}

std::vector<Key> delivery_keys() {
  KeyBuilder<DeliverySettings> k;
  k.integer("port", &DeliverySettings::port, 25, 1, 65535, "port of MX hosts");
  k.choice<IpFamily>("ip", &DeliverySettings::ip, "auto",
                     {{"auto", IpFamily::automatic}, {"4", IpFamily::v4}, {"6", IpFamily::v6}},
                     "address families used");
  k.list("retry", &DeliverySettings::retry, {"5m", "15m", "30m", "1h", "2h", "4h"}, "times of 1s to 7d",
         "waits between attempts; the last repeats; 10 % jitter", read_time, print_duration);
  k.duration("expire", &DeliverySettings::expire, "5d", 1min, 30 * day,
             "an undelivered message is returned after so long");
  k.duration("delay_notice_after", &DeliverySettings::delay_notice_after, "4h", 0ms, 30 * day,
             "the sender is told once that a message waits; 0 = never");
  k.integer("connections_per_destination", &DeliverySettings::connections_per_destination, 20, 1, 10'000,
            "at once to one destination");
  k.integer("connections_per_mx", &DeliverySettings::connections_per_mx, 20, 1, 10'000,
            "at once over all destinations behind one MX host");
  k.rate("rate_per_mx", &DeliverySettings::rate_per_mx, "",
         "messages to one MX host; 4xx replies lower it by themselves")
      .later();
  k.integer("messages_per_connection", &DeliverySettings::messages_per_connection, 100, 1, 100'000,
            "then it is closed");
  k.duration("idle_connection", &DeliverySettings::idle_connection, "10s", 0ms, 5min,
             "kept open so long for a next message");
  k.integer("connections_total", &DeliverySettings::connections_total, 500, 1, 100'000,
            "outgoing connections at once");
  k.choice<TlsFloor>("tls", &DeliverySettings::tls, "opportunistic",
                     {{"opportunistic", TlsFloor::opportunistic}, {"required", TlsFloor::required}},
                     "floor where no policy speaks");
  return k.take();
}

std::vector<Key> source_keys() {
  KeyBuilder<SourceSettings> k;
  k.text("address", &SourceSettings::address, "", "an IP address",
         "a local address that connections leave from", check_ip)
      .must()
      .later()
      .such_as("\"203.0.113.7\"");
  k.text("hostname", &SourceSettings::hostname, "", "a host name",
         "the EHLO name said from there, as its PTR has it", check_hostname)
      .must()
      .later()
      .such_as("\"out1.example.com\"");
  return k.take();
}

std::vector<Key> route_keys() {
  KeyBuilder<RouteSettings> k;
  k.texts("recipients", &RouteSettings::recipients, {}, "domains, *.domain, *", "mail to these domains",
          check_route_recipient)
      .later()
      .such_as("[\"*.corp.example\"]");
  k.texts("senders", &RouteSettings::senders, {}, "addresses, @domain, @.domain, *",
          "mail from these senders", check_sender)
      .later();
  k.list("via", &RouteSettings::via, {}, "host:port, mx:domain, tls://host:port",
         "where it goes; several fail over", read_next_hop, print_next_hop)
      .must()
      .later()
      .such_as("[\"mx.corp.example:25\"]");
  k.choice<RouteTls>("tls", &RouteSettings::tls, "verify",
                     {{"verify", RouteTls::verify},
                      {"required", RouteTls::required},
                      {"opportunistic", RouteTls::opportunistic}},
                     "raises what the via domain's own policy asks, never lowers it")
      .later();
  k.text("username", &RouteSettings::username, "", "a name", "log in there", check_user_name).later();
  k.secret_file("password_file", &RouteSettings::password, "file with the password for it").later();
  k.text("min_version", &RouteSettings::min_version, "", "1.2 | 1.3; \"\" = as usual", "lowest TLS version",
         check_tls_version)
      .later();
  return k.take();
}

std::vector<Key> exception_keys() {
  KeyBuilder<ExceptionSettings> k;
  k.text("domain", &ExceptionSettings::domain, "", "a domain", "recipient domain it holds for (or mx)",
         check_domain)
      .later()
      .such_as("\"partner.example\"");
  k.text("mx", &ExceptionSettings::mx, "", "a host name", "MX host it holds for (or domain)", check_domain)
      .later();
  k.list("allow", &ExceptionSettings::allow, {}, "bad-certificate, no-starttls", "what is forgiven",
         read_relaxation, print_relaxation)
      .must()
      .later()
      .such_as("[\"bad-certificate\"]");
  k.text("reason", &ExceptionSettings::reason, "", "a text", "why; shown in log and check")
      .must()
      .later()
      .such_as("\"their certificate expired, ticket 4711\"");
  k.date("until", &ExceptionSettings::until,
         "last day (UTC), at most 30 days ahead; an expired one is an error")
      .must()
      .later()
      .such_as("2026-12-01");
  return k.take();
}

std::vector<Key> sts_keys() {
  KeyBuilder<StsSettings> k;
  k.choice("mode", &StsSettings::mode, "enforce", policy_modes,
           "what MTA-STS policies do: hold mail back, only be logged, or nothing");
  k.integer("https_port", &StsSettings::https_port, 443, 1, 65535, "port of policy hosts");
  k.duration("fetch_timeout", &StsSettings::fetch_timeout, "60s", 1s, 5min,
             "one total deadline for fetching a policy");
  k.duration("refresh", &StsSettings::refresh, "24h", 1min, 30 * day,
             "cached policies are fetched again so often");
  // RFC 8461 section 3.3 suggests 64 kilobytes.
  k.size("max_policy_size", &StsSettings::max_policy_size, "64KiB", 1 * KiB, 1 * MiB,
         "a larger policy is refused");
  return k.take();
}

std::vector<Key> dane_keys() {
  KeyBuilder<DaneSettings> k;
  k.choice("mode", &DaneSettings::mode, "enforce", policy_modes,
           "what TLSA records do; they win over MTA-STS")
      .later();
  return k.take();
}

std::vector<Key> tlsrpt_keys() {
  KeyBuilder<TlsrptSettings> k;
  k.flag("enabled", &TlsrptSettings::enabled, true, "send daily TLS reports (RFC 8460)").later();
  k.text("organization", &TlsrptSettings::organization, "", "a text; \"\" = hostname",
         "organization-name of the reports");
  k.text("contact", &TlsrptSettings::contact, "", "an address; \"\" = postmaster@hostname",
         "contact-info; its domain is submitter, From and DKIM domain of the reports", check_address);
  k.texts("exclude", &TlsrptSettings::exclude, {}, "domains", "no reports for these", check_domain).later();
  k.duration("jitter", &TlsrptSettings::jitter, "4h", 0ms, 1 * day,
             "reports are spread over so long after midnight UTC")
      .later();
  k.flag("only_failures", &TlsrptSettings::only_failures, false, "no report for a day without failures")
      .later();
  k.flag("https", &TlsrptSettings::https, true, "send to https: targets too").later();
  k.integer("https_port", &TlsrptSettings::https_port, 443, 1, 65535, "port of https: targets that name none")
      .later();
  k.duration("retry_for", &TlsrptSettings::retry_for, "24h", 0ms, 7 * day,
             "a report that cannot be sent is given up after so long")
      .later();
  return k.take();
}

std::vector<Key> dkim_keys() {
  KeyBuilder<DkimSettings> k;
  k.choice<DkimSigning>("sign", &DkimSettings::sign, "off",
                        {{"off", DkimSigning::off}, {"sender-domain", DkimSigning::sender_domain}},
                        "sign messages with the key of the From domain")
      .later();
  k.text("selector", &DkimSettings::selector, "holdfast", "a selector", "the name of the keys in use",
         check_selector)
      .later();
  k.path("key_dir", &DkimSettings::key_dir, "", "a path; \"\" = data_dir/dkim", "keys as DOMAIN/SELECTOR.pem")
      .later();
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
  k.duration("history", &QueueSettings::history, "7d", 0ms, 366 * day,
             "what became of a message is kept so long");
  k.size("history_size", &QueueSettings::history_size, "1GiB", 0, 1 * TiB, "the older goes first").later();
  k.duration("bounce_expire", &QueueSettings::bounce_expire, "1d", 1min, 30 * day,
             "lifetime of null-sender mail");
  return k.take();
}

std::vector<Key> admin_keys() {
  KeyBuilder<AdminSettings> k;
  k.path("socket", &AdminSettings::socket, "", "a path; \"\" = data_dir/admin.sock",
         "unix socket of the command line");
  k.converted("http", &AdminSettings::http, "127.0.0.1:8080", "address:port; \"\" = off",
              "/livez, /readyz, /metrics and the status page", read_http, print_http)
      .later();
  k.secret_file("token_file", &AdminSettings::token, "file with the token asked for outside loopback",
                &AdminSettings::token_file)
      .later();
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

template <class Part>
Section table(const char* name, Part Settings::*member, const char* sentence, std::vector<Key> keys) {
  Section section;
  section.name = name;
  section.sentence = sentence;
  section.keys = std::move(keys);
  section.size = [](const Settings&) { return std::size_t{1}; };
  section.part = [member](Settings& settings, std::size_t) -> void* { return &(settings.*member); };
  return section;
}

template <class Part>
Section array(const char* name, std::vector<Part> Settings::*member, const char* sentence,
              std::vector<Key> keys) {
  Section section;
  section.name = name;
  section.array = true;
  section.sentence = sentence;
  section.keys = std::move(keys);
  section.size = [member](const Settings& settings) { return (settings.*member).size(); };
  section.append = [member](Settings& settings) { (settings.*member).emplace_back(); };
  section.part = [member](Settings& settings, std::size_t index) -> void* {
    return &(settings.*member)[index];
  };
  return section;
}

std::vector<Section> make_schema() {
  Section top;
  top.sentence = "who this relay is, and where it keeps its data";
  top.keys = top_keys();
  top.size = [](const Settings&) { return std::size_t{1}; };
  top.part = [](Settings& settings, std::size_t) -> void* { return &settings; };
  std::vector<Section> all;
  all.push_back(std::move(top));
  all.push_back(table("runtime", &Settings::runtime, "threads", runtime_keys()));
  all.push_back(array("listener", &Settings::listeners,
                      "where clients submit; without any, one with these defaults", listener_keys()));
  all.push_back(table("tls", &Settings::tls, "what clients are shown", tls_keys()));
  all.push_back(table("trust", &Settings::trust, "whom we believe", trust_keys()));
  all.push_back(table("auth", &Settings::auth, "logging in", auth_keys()));
  all.push_back(array("user", &Settings::users, "who may submit, besides the users file", user_keys()));
  all.push_back(table("limits", &Settings::limits, "what a message may be", limits_keys()));
  all.push_back(table("dns", &Settings::dns, "name resolution", dns_keys()));
  all.push_back(table("egress", &Settings::egress, "where connections may go", egress_keys()));
  all.push_back(table("delivery", &Settings::delivery, "sending", delivery_keys()));
  all.push_back(array("source", &Settings::sources, "addresses that connections leave from", source_keys()));
  all.push_back(array("route", &Settings::routes, "mail that goes another way than its MX", route_keys()));
  all.push_back(
      array("exception", &Settings::exceptions, "the one way to lower a requirement", exception_keys()));
  all.push_back(table("sts", &Settings::sts, "MTA-STS (RFC 8461)", sts_keys()));
  all.push_back(table("dane", &Settings::dane, "DANE (RFC 7672)", dane_keys()));
  all.push_back(table("tlsrpt", &Settings::tlsrpt, "TLS reporting (RFC 8460)", tlsrpt_keys()));
  all.push_back(table("dkim", &Settings::dkim, "DKIM signatures", dkim_keys()));
  all.push_back(table("queue", &Settings::queue, "the store", queue_keys()));
  all.push_back(table("admin", &Settings::admin, "administration", admin_keys()));
  all.push_back(table("log", &Settings::log, "the log, on standard output", log_keys()));
  all.push_back(table("shutdown", &Settings::shutdown, "stopping", shutdown_keys()));
  return all;
}

}  // namespace

const Key* Section::find(std::string_view key) const {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == key; });
  return found == keys.end() ? nullptr : &*found;
}

const std::vector<Section>& schema() {
  static const std::vector<Section> sections = make_schema();
  return sections;
}

const Section* find_section(std::string_view name) {
  const auto& all = schema();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Section& s) { return s.name == name; });
  return found == all.end() ? nullptr : &*found;
}

void set_defaults(const Section& section, void* part) {
  for (const Key& key : section.keys)
    if (!key.required && !std::holds_alternative<OtherValue>(key.fallback)) key.set(part, key.fallback);
}

Settings default_settings() {
  Settings settings;
  for (const Section& section : schema())
    if (!section.array) set_defaults(section, section.part(settings, 0));
  return settings;
}

}  // namespace holdfast
