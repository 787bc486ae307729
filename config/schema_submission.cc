#include "config/key_builder.h"
#include "config/schema_keys.h"
#include "config/schema_values.h"
#include "config/units.h"

namespace holdfast {

namespace {

using namespace std::chrono_literals;

}  // namespace

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
            "at once from one address, or in IPv6 from a stranger's /64");
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
         "failed logins per address, in IPv6 per /64, before it is locked out");
  k.duration("cache", &AuthSettings::cache, "5m", 0ms, 1h,
             "a verified password is not hashed again for so long");
  k.integer(
      "unusual_volume", &AuthSettings::unusual_volume, 5, 0, 1000,
      "alert when a user sends to so many times the recipients of its busiest hour of the last 7 days; 0 "
      "= off");
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
         "may it send `TLS-Required: No` (RFC 8689)");
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

}  // namespace holdfast
