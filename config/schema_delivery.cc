#include "config/key_builder.h"
#include "config/schema_keys.h"
#include "config/schema_values.h"
#include "config/units.h"

namespace holdfast {

namespace {

using namespace std::chrono_literals;

const std::vector<Choice<PolicyMode>> policy_modes = {
    {"enforce", PolicyMode::enforce}, {"observe", PolicyMode::observe}, {"off", PolicyMode::off}};

}  // namespace

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
  k.duration("expire", &DeliverySettings::expire, "5d", 1min, 30 * kOneDay,
             "an undelivered message is returned after so long");
  k.duration("delay_notice_after", &DeliverySettings::delay_notice_after, "4h", 0ms, 30 * kOneDay,
             "the sender is told once that a message waits; 0 = never");
  k.integer("connections_per_destination", &DeliverySettings::connections_per_destination, 20, 1, 10'000,
            "at once to one destination");
  k.integer("connections_per_mx", &DeliverySettings::connections_per_mx, 20, 1, 10'000,
            "at once over all destinations behind one MX host");
  k.rate("rate_per_mx", &DeliverySettings::rate_per_mx, "",
         "messages to one MX host; 4xx replies lower it by themselves");
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
      .such_as("\"203.0.113.7\"");
  k.text("hostname", &SourceSettings::hostname, "", "a host name",
         "the EHLO name said from there, as its PTR has it", check_hostname)
      .must()
      .such_as("\"out1.example.com\"");
  return k.take();
}

std::vector<Key> route_keys() {
  KeyBuilder<RouteSettings> k;
  k.texts("recipients", &RouteSettings::recipients, {}, "domains, *.domain, *", "mail to these domains",
          check_route_recipient)
      .such_as("[\"*.corp.example\"]");
  k.texts("senders", &RouteSettings::senders, {}, "addresses, @domain, @.domain, *",
          "mail from these senders", check_sender);
  k.list("via", &RouteSettings::via, {}, "host:port, mx:domain, tls://host:port",
         "where it goes; several fail over", read_next_hop, print_next_hop)
      .must()
      .such_as("[\"mx.corp.example:25\"]");
  k.choice<RouteTls>(
      "tls", &RouteSettings::tls, "verify",
      {{"verify", RouteTls::verify},
       {"required", RouteTls::required},
       {"opportunistic", RouteTls::opportunistic}},
      "raises what the via domain's own policy asks, never lowers it; verify believes mx:domain only with "
      "DNSSEC or MTA-STS");
  k.text("username", &RouteSettings::username, "", "a name", "log in there", check_user_name);
  k.secret_file("password_file", &RouteSettings::password, "file with the password for it");
  k.text("min_version", &RouteSettings::min_version, "", "1.2 | 1.3; \"\" = as usual", "lowest TLS version",
         check_tls_version);
  k.texts("ciphers", &RouteSettings::ciphers, {}, "names of TLS 1.2 ciphers; [] = as usual",
          "with TLS 1.2 only these ciphers (those of TLS 1.3 are all sound)", check_cipher)
      .such_as("[\"ECDHE-RSA-AES256-GCM-SHA384\"]");
  return k.take();
}

std::vector<Key> exception_keys() {
  KeyBuilder<ExceptionSettings> k;
  k.text("domain", &ExceptionSettings::domain, "", "a domain", "recipient domain it holds for (or mx)",
         check_domain)
      .such_as("\"partner.example\"");
  k.text("mx", &ExceptionSettings::mx, "", "a host name", "MX host it holds for (or domain)", check_domain);
  k.list("allow", &ExceptionSettings::allow, {}, "bad-certificate, no-starttls",
         "what is forgiven, but not to a route with a username", read_relaxation, print_relaxation)
      .must()
      .such_as("[\"bad-certificate\"]");
  k.text("reason", &ExceptionSettings::reason, "", "a text", "why; shown in log and check")
      .must()
      .such_as("\"their certificate expired, ticket 4711\"");
  k.date("until", &ExceptionSettings::until,
         "last day (UTC), at most 30 days ahead; an expired one is an error")
      .must()
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
  k.duration("refresh", &StsSettings::refresh, "24h", 1min, 30 * kOneDay,
             "cached policies are fetched again so often");
  // RFC 8461 section 3.3 suggests 64 kilobytes.
  k.size("max_policy_size", &StsSettings::max_policy_size, "64KiB", 1 * KiB, 1 * MiB,
         "a larger policy is refused");
  return k.take();
}

std::vector<Key> dane_keys() {
  KeyBuilder<DaneSettings> k;
  k.choice("mode", &DaneSettings::mode, "enforce", policy_modes,
           "what TLSA records do; they win over MTA-STS");
  return k.take();
}

}  // namespace holdfast
