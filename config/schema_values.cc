#include "config/schema_values.h"

#include <algorithm>

#include "config/key_builder.h"
#include "config/units.h"
#include "config/users_file.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

bool is_domain(std::string_view text) {
  const auto parsed = HostPort::parse(text, 1);
  return parsed && parsed->host == text && !text.ends_with('.') && !parse_ip(text);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

constexpr std::string_view mx_scheme = "mx:", tls_scheme = "tls://";

const std::vector<Choice<Relaxation>> relaxations = {{"bad-certificate", Relaxation::bad_certificate},
                                                     {"no-starttls", Relaxation::no_starttls}};

}  // namespace

std::string wrong_type(const char* expected, const ConfigValue& value) {
  return "expected " + std::string(expected) + "; found " + type_in_words(value);
}

std::string check_hostname(const std::string& text) {
  if (is_domain(text) && is_ascii(text)) return "";
  return quote_toml(text) +
         " is not a host name; write the name that this relay's address resolves to, in ASCII, such as "
         "\"relay.example.com\"";
}

std::string check_domain(const std::string& text) {
  return is_domain(text) ? "" : quote_toml(text) + " is not a domain; write it as \"partner.example\"";
}

std::string check_address(const std::string& text) {
  const auto at = text.rfind('@');
  const bool good =
      at != std::string::npos && at != 0 && is_domain(text.substr(at + 1)) &&
      std::none_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; });
  return good ? "" : quote_toml(text) + " is not a mail address; write it as \"name@example.com\"";
}

std::string check_sender(const std::string& text) {
  if (is_sender_pattern(text)) return "";
  return quote_toml(text) +
         " is no sender; write \"*\", \"a@b.example\", \"@b.example\" or \"@.b.example\" (subdomains)";
}

std::string check_route_recipient(const std::string& text) {
  const auto bare = text.starts_with("*.") ? text.substr(2) : text;
  if (text == "*" || is_domain(bare)) return "";
  return quote_toml(text) + " is no recipient domain; write \"corp.example\", \"*.corp.example\" or \"*\"";
}

std::string check_server(const std::string& text) {
  if (HostPort::parse(text, 53)) return "";
  return quote_toml(text) +
         " is no name server; write \"127.0.0.1\", \"127.0.0.1:5353\", \"[::1]:53\" or \"resolver:53\"";
}

std::string check_user_name(const std::string& text) {
  return is_user_name(text)
             ? ""
             : quote_toml(text) + " is no user name; write printable characters without spaces or \"=\"";
}

std::string check_hash(const std::string& text) {
  if (looks_like_hash(text)) return "";
  return "not a crypt hash; make one by `mkpasswd -m yescrypt`, or use password_file for a clear password";
}

std::string check_ip(const std::string& text) {
  return parse_ip(text) ? "" : quote_toml(text) + " is not an IP address";
}

std::string check_selector(const std::string& text) {
  return is_domain(text) && is_ascii(text)
             ? ""
             : quote_toml(text) + " is no DKIM selector; write letters, digits, hyphens";
}

std::string read_network(const std::string& text, Network& out) {
  const auto network = Network::parse(text);
  if (!network)
    return quote_toml(text) +
           " is not a network; write \"192.0.2.0/24\", \"2001:db8::/32\" or one address (no host bits)";
  return out = *network, "";
}
std::string print_network(const Network& network) { return network.text(); }

std::string read_time(const std::string& text, Millis& out) {
  const auto time = parse_duration(text);
  if (!time) return quote_toml(text) + " is not a time; write a number and s, m, h or d, such as \"15m\"";
  if (*time < 1s || *time > 7 * kOneDay) return quote_toml(text) + " is out of bounds; write 1s to 7d";
  return out = *time, "";
}

std::string read_bind(const std::string& text, HostPort& out) {
  // Port 0 lets the system pick one, which tests use; it must be written, never defaulted to.
  const auto bind = HostPort::parse(text, 0);
  if (!bind || !parse_ip(bind->host) || !text.ends_with(":" + std::to_string(bind->port)))
    return quote_toml(text) +
           " is no address to listen on; write \"[::]:587\", \"0.0.0.0:587\" or \"127.0.0.1:587\"";
  return out = *bind, "";
}
std::string print_host_port(const HostPort& value) { return value.text(); }

std::string read_http(const std::string& text, std::optional<HostPort>& out) {
  if (text.empty()) return out = std::nullopt, "";
  const auto bind = HostPort::parse(text, 0);
  if (!bind || (!parse_ip(bind->host) && bind->host != "localhost") ||
      !text.ends_with(":" + std::to_string(bind->port)))
    return quote_toml(text) + " is no address to listen on; write \"127.0.0.1:8080\", or \"\" for off";
  return out = *bind, "";
}
std::string print_http(const std::optional<HostPort>& value) { return value ? value->text() : ""; }

std::string read_next_hop(const std::string& text, NextHop& out) {
  std::string_view rest = text;
  if (rest.starts_with(mx_scheme)) {
    out.kind = NextHop::Kind::mx;
    rest.remove_prefix(mx_scheme.size());
  } else if (rest.starts_with(tls_scheme)) {
    out.implicit_tls = true;
    rest.remove_prefix(tls_scheme.size());
  }
  const auto target = HostPort::parse(rest, out.implicit_tls ? 465 : 25);
  if (!target || target->port == 0 || (out.kind == NextHop::Kind::mx && parse_ip(target->host)))
    return quote_toml(text) + " is no next hop; write \"host:25\", \"mx:domain\" or \"tls://host:465\"";
  return out.target = *target, "";
}

std::string print_next_hop(const NextHop& hop) {
  const auto scheme = hop.kind == NextHop::Kind::mx ? mx_scheme
                      : hop.implicit_tls            ? tls_scheme
                                                    : std::string_view();
  return std::string(scheme) + hop.target.text();
}

std::string read_relaxation(const std::string& text, Relaxation& out) {
  for (const auto& choice : relaxations)
    if (text == choice.word) return out = choice.value, "";
  return quote_toml(text) + " is not one of " + words(relaxations, ", ");
}

std::string print_relaxation(Relaxation value) {
  return value == Relaxation::bad_certificate ? "bad-certificate" : "no-starttls";
}

std::string check_mechanism(const std::string& text) {
  if (text == "PLAIN" || text == "LOGIN" || text == "SCRAM-SHA-256") return "";
  return quote_toml(text) + " is not one of PLAIN, LOGIN, SCRAM-SHA-256";
}

std::string check_tls_version(const std::string& text) {
  return text == "1.2" || text == "1.3" ? "" : quote_toml(text) + " is not one of 1.2, 1.3";
}

// Whole names from a list rather than OpenSSL's own language, in which "@SECLEVEL=0" and "aNULL" would lower
// what a route is to raise. All authenticate the server by a certificate and encrypt with 128 bits or more.
std::string check_cipher(const std::string& text) {
  constexpr std::string_view kKnown[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                         "ECDHE-ECDSA-AES256-GCM-SHA384",
                                         "ECDHE-ECDSA-CHACHA20-POLY1305",
                                         "ECDHE-RSA-AES128-GCM-SHA256",
                                         "ECDHE-RSA-AES256-GCM-SHA384",
                                         "ECDHE-RSA-CHACHA20-POLY1305",
                                         "DHE-RSA-AES128-GCM-SHA256",
                                         "DHE-RSA-AES256-GCM-SHA384",
                                         "DHE-RSA-CHACHA20-POLY1305",
                                         "ECDHE-ECDSA-AES128-SHA256",
                                         "ECDHE-ECDSA-AES256-SHA384",
                                         "ECDHE-RSA-AES128-SHA256",
                                         "ECDHE-RSA-AES256-SHA384",
                                         "AES128-GCM-SHA256",
                                         "AES256-GCM-SHA384"};
  if (std::find(std::begin(kKnown), std::end(kKnown), text) != std::end(kKnown)) return "";
  const bool directive = text.find_first_of("@!+:") != std::string::npos;
  const bool nameless = text.find("NULL") != std::string::npos || text.starts_with("ADH") ||
                        text.starts_with("AECDH") || text == "ALL" || text == "DEFAULT" || text == "HIGH";
  if (directive || nameless)
    return quote_toml(text) +
           " could lower what TLS asks; write whole names, such as \"ECDHE-RSA-AES256-GCM-SHA384\"";
  return quote_toml(text) +
         " is no cipher of TLS 1.2 that is taken; write OpenSSL's names, such as "
         "\"ECDHE-RSA-AES256-GCM-SHA384\"";
}

}  // namespace holdfast
