#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "config/loading.h"
#include "config/users_file.h"
#include "config/values.h"

namespace holdfast {
namespace {

// An exception may not become a habit.
constexpr std::chrono::days longest_exception{30};

void report(Loading& loading, const char* section, std::size_t index, const char* key, std::string text) {
  const KeyPlace place{section, index, key};
  loading.error(loading.origin_of(place), dotted(place), std::move(text));
}

void advise(Loading& loading, const char* section, const char* key, std::string text) {
  const KeyPlace place{section, 0, key};
  loading.warning(loading.origin_of(place), dotted(place), std::move(text));
}

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  const auto ip = parse_ip(host);
  return ip && (Network::parse("127.0.0.0/8")->contains(*ip) || Network::parse("::1")->contains(*ip));
}

// Given in any way, be it faulty: then its own error stands already.
bool has_secret(const Loading& loading, const KeyPlace& place) {
  const auto assigned = loading.assigned.find(place);
  const bool written =
      assigned != loading.assigned.end() && assigned->second.value != ConfigValue(std::string());
  return written || loading.result.secret_paths.contains(place) || loading.secret_values.contains(place);
}

void check_listeners(Loading& loading) {
  const Settings& s = loading.settings;
  std::set<std::string> binds;
  for (std::size_t i = 0; i < s.listeners.size(); ++i) {
    const ListenerSettings& listener = s.listeners[i];
    if (listener.bind.port != 0 && !binds.insert(listener.bind.text()).second)
      report(loading, "listener", i, "bind",
             "\"" + listener.bind.text() + "\" is listened on twice; remove one of them");
    if (listener.mode == ListenerMode::trusted && s.auth.trusted_networks.empty())
      report(
          loading, "listener", i, "mode",
          "a trusted listener serves only auth.trusted_networks, and that is empty; name the networks there");
    if (listener.mode != ListenerMode::trusted && s.tls.if_missing == IfMissing::fail &&
        s.tls.certificate.empty())
      report(loading, "listener", i, "mode",
             "needs TLS, and tls.if_missing is \"fail\"; set tls.certificate and tls.private_key");
    if (listener.max_connections_per_ip > listener.max_connections &&
        loading.is_set({"listener", i, "max_connections_per_ip"}))
      report(loading, "listener", i, "max_connections_per_ip", "is above max_connections; lower it");
  }
}

void check_readable(Loading& loading, const char* section, const char* key,
                    const std::filesystem::path& path) {
  if (path.empty()) return;
  std::error_code code;
  if (std::filesystem::is_regular_file(path, code)) {
    // Who opens no secrets need not be the relay's user, and is not kept from asking.
    if (!loading.input.secrets || ::access(path.c_str(), R_OK) == 0) return;
    return report(loading, section, 0, key,
                  "the file " + path.string() + " cannot be read by this user: " + std::strerror(errno) +
                      "; give it to the relay's user or group");
  }
  const std::string text = "the file " + path.string() + " does not exist or cannot be read";
  if (loading.settings.tls.if_missing == IfMissing::self_signed && std::string_view(section) == "tls")
    return advise(loading, section, key, text + "; a self-signed certificate is used until it does");
  report(loading, section, 0, key, text);
}

void check_tls(Loading& loading) {
  const ServerTlsSettings& tls = loading.settings.tls;
  if (!tls.certificate.empty() && tls.private_key.empty())
    report(loading, "tls", 0, "certificate", "needs tls.private_key beside it");
  if (tls.certificate.empty() && !tls.private_key.empty())
    report(loading, "tls", 0, "private_key", "needs tls.certificate beside it");
  check_readable(loading, "tls", "certificate", tls.certificate);
  check_readable(loading, "tls", "private_key", tls.private_key);
  check_readable(loading, "trust", "ca_file", loading.settings.trust.ca_file);
}

void check_users(Loading& loading) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < loading.settings.users.size(); ++i) {
    const UserSettings& user = loading.settings.users[i];
    if (!user.name.empty() && !names.insert(user.name).second)
      report(loading, "user", i, "name",
             "the user \"" + user.name + "\" stands here twice; remove one of them");
    const bool by_file = has_secret(loading, {"user", i, "password_file"});
    const bool by_hash = has_secret(loading, {"user", i, "password_hash"});
    if (by_file && by_hash)
      report(loading, "user", i, "password_hash", "stands beside password_file; keep one of them");
    if (!by_file && !by_hash)
      report(loading, "user", i, "password_file",
             "is missing; name a file with the password, or write password_hash");
    if (user.senders.empty() && !loading.is_set({"user", i, "senders"}))
      report(loading, "user", i, "senders",
             "is missing; write what it may send as, such as [\"@example.com\"], or [\"*\"]");
  }
}

void check_routes(Loading& loading) {
  for (std::size_t i = 0; i < loading.settings.routes.size(); ++i) {
    const RouteSettings& route = loading.settings.routes[i];
    if (route.recipients.empty() && route.senders.empty() && !loading.is_set({"route", i, "recipients"}) &&
        !loading.is_set({"route", i, "senders"}))
      report(loading, "route", i, "recipients",
             "is missing; say which recipients or senders take this route (\"*\" for all)");
    const bool has_password = has_secret(loading, {"route", i, "password_file"});
    if (!route.username.empty() && !has_password)
      report(loading, "route", i, "password_file", "is missing beside username");
    if (route.username.empty() && has_password && !loading.is_set({"route", i, "username"}))
      report(loading, "route", i, "username", "is missing beside password_file");
    if (!route.username.empty() && route.tls != RouteTls::verify)
      report(loading, "route", i, "tls",
             "must be \"verify\" with a username: else the password could go to anyone");
    if (route.tls != RouteTls::verify) continue;
    for (const NextHop& hop : route.via) {
      const KeyPlace place{"route", i, "via"};
      const auto warn = [&](const char* what) {
        loading.warning(loading.origin_of(place), dotted(place), hop.target.text() + what);
      };
      if (hop.kind == NextHop::Kind::mx)
        warn(
            " is reached only if DNSSEC signs its MX records or its MTA-STS policy names the servers: else "
            "its mail waits; `holdfast check` tells");
      if (parse_ip(hop.target.host))
        warn(
            " has no name that a certificate could prove: all its mail will wait; name the host, or lower "
            "the route's tls");
    }
  }
}

// A password goes only to a server that has proved its name.
bool leads_a_password_to(const RouteSettings& route, const ExceptionSettings& exception) {
  return !route.username.empty() && std::any_of(route.via.begin(), route.via.end(), [&](const NextHop& hop) {
    return hop.target.host == exception.domain || hop.target.host == exception.mx;
  });
}

void check_exceptions(Loading& loading) {
  for (std::size_t i = 0; i < loading.settings.exceptions.size(); ++i) {
    const ExceptionSettings& exception = loading.settings.exceptions[i];
    if (exception.domain.empty() == exception.mx.empty() &&
        !loading.result.origins.contains({"exception", i, "until"}))
      continue;  // until is faulty or missing and was named; the rest would be noise
    if (exception.domain.empty() && exception.mx.empty())
      report(loading, "exception", i, "domain", "is missing; write domain or mx");
    if (!exception.domain.empty() && !exception.mx.empty())
      report(loading, "exception", i, "mx", "stands beside domain; keep one of them");
    if (!loading.result.origins.contains({"exception", i, "until"})) continue;
    if (exception.until < loading.input.today)
      report(loading, "exception", i, "until",
             print_date(exception.until) + " is past: this exception holds no more; remove it or renew it");
    if (exception.until > loading.input.today + longest_exception)
      report(loading, "exception", i, "until",
             print_date(exception.until) + " is more than 30 days ahead; write " +
                 print_date(loading.input.today + longest_exception) + " or earlier");
    const KeyPlace place{"exception", i, exception.domain.empty() ? "mx" : "domain"};
    for (const RouteSettings& route : loading.settings.routes)
      if (leads_a_password_to(route, exception))
        loading.warning(loading.origin_of(place), dotted(place),
                        "does not hold for the route with username " + route.username +
                            ": a password goes only to a server that has proved its name");
  }
}

void check_sources(Loading& loading) {
  std::set<std::string> addresses;
  for (std::size_t i = 0; i < loading.settings.sources.size(); ++i)
    if (const std::string& address = loading.settings.sources[i].address;
        !address.empty() && !addresses.insert(address).second)
      report(loading, "source", i, "address", "\"" + address + "\" stands here twice; remove one of them");
}

void check_sections(Loading& loading) {
  const Settings& s = loading.settings;
  if (s.delivery.retry.empty())
    report(loading, "delivery", 0, "retry", "is empty; write at least one time, such as [\"15m\"]");
  if (s.delivery.delay_notice_after >= s.delivery.expire &&
      loading.is_set({"delivery", 0, "delay_notice_after"}))
    advise(loading, "delivery", "delay_notice_after",
           "is not before delivery.expire: no notice will be sent");
  if (s.auth.mechanisms.empty())
    report(loading, "auth", 0, "mechanisms", "is empty; write [\"PLAIN\", \"LOGIN\"]");
  if (s.admin.http && !is_loopback(s.admin.http->host) && !has_secret(loading, {"admin", 0, "token_file"}))
    report(loading, "admin", 0, "http",
           "\"" + s.admin.http->text() +
               "\" is not on loopback; set admin.token_file, or write \"127.0.0.1:" +
               std::to_string(s.admin.http->port) + "\"");
  if (s.sts.mode == PolicyMode::off)
    advise(loading, "sts", "mode", "is off: mail leaves without regard to MTA-STS policies");
  // sun_path has 108 octets with its end.
  if (s.admin.socket.native().size() > 107)
    report(loading, "admin", 0, "socket",
           s.admin.socket.string() + " is too long for a unix socket; at most 107 octets");
}

}  // namespace

void derive_settings(Loading& loading) {
  Settings& s = loading.settings;
  if (s.data_dir.empty())
    report(loading, "", 0, "data_dir", "is empty; write the directory that holds the queue");
  if (s.postmaster.empty()) s.postmaster = "postmaster@" + s.hostname;
  const auto& in_use = loading.input.data_dir.empty() ? s.data_dir : loading.input.data_dir;
  if (s.auth.users_file.empty()) s.auth.users_file = in_use / "users";
  if (s.dkim.key_dir.empty()) s.dkim.key_dir = in_use / "dkim";
  if (s.admin.socket.empty()) s.admin.socket = in_use / "admin.sock";
  if (s.tlsrpt.organization.empty()) s.tlsrpt.organization = s.hostname;
  if (s.tlsrpt.contact.empty()) s.tlsrpt.contact = "postmaster@" + s.hostname;
  for (UserSettings& user : s.users) {
    if (!looks_like_hash(user.password)) continue;
    user.password_hash = std::move(user.password);  // a secret file may hold the hash instead
    user.password.clear();
  }
}

void cross_check(Loading& loading) {
  check_listeners(loading);
  check_tls(loading);
  check_users(loading);
  check_routes(loading);
  check_exceptions(loading);
  check_sources(loading);
  check_sections(loading);
}

}  // namespace holdfast
