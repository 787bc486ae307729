// config/settings.h — the typed settings, one plain struct per section of the configuration file.
//
// Defaults, bounds and the sentence that documents each key stand in config/schema.cc, which is their one
// source: a default-constructed Settings here is empty, `default_settings()` in schema.h is not.
// Settings are immutable once loaded: code takes a shared_ptr<const Settings> once per session or attempt.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/network.h"

namespace holdfast {

using Millis = std::chrono::milliseconds;

// "2000/h": `count` events each `per`; count 0 means unlimited.
struct Rate {
  std::uint64_t count = 0;
  Millis per{0};
  bool unlimited() const { return count == 0; }
  bool operator==(const Rate&) const = default;
};

// "5%" of the file system, or a number of bytes.
struct DiskReserve {
  double percent = 0;  // 0 to 100; used when bytes is 0
  std::uint64_t bytes = 0;
  bool operator==(const DiskReserve&) const = default;
};

struct RuntimeSettings {
  unsigned threads = 0;  // 0 = cores
};

enum class ListenerMode { submission, submissions, trusted };

struct ListenerSettings {
  HostPort bind;
  ListenerMode mode = ListenerMode::submission;
  unsigned max_connections = 0;
  unsigned max_connections_per_ip = 0;
  Millis idle_timeout{0};
  std::uint64_t min_rate = 0;  // bytes per second; 0 = no minimum
  bool operator==(const ListenerSettings&) const = default;
};

enum class IfMissing { self_signed, fail };

struct ServerTlsSettings {
  std::filesystem::path certificate;
  std::filesystem::path private_key;
  IfMissing if_missing = IfMissing::self_signed;
  std::string min_version;  // "1.2" or "1.3"
};

struct TrustSettings {
  std::filesystem::path ca_file;  // empty = the system's roots
};

struct AuthSettings {
  std::vector<std::string> mechanisms;  // upper case
  std::vector<Network> trusted_networks;
  Rate max_failures;
  Millis cache{0};
  unsigned unusual_volume = 0;       // times the user's busiest hour; 0 = off
  std::filesystem::path users_file;  // filled in by the loader when the key is empty
};

struct UserSettings {
  std::string name;
  std::string password;       // from password_file; clear text, empty when password_hash is given
  std::string password_hash;  // crypt(5) form
  std::vector<std::string> senders;
  Rate messages;
  Rate recipients;
  bool tls_required_no = false;
};

enum class LongLines { refuse, accept };

struct LimitsSettings {
  std::uint64_t message_size = 0;  // bytes
  unsigned recipients_per_message = 0;
  unsigned received_hops = 0;
  std::size_t line_length = 0;  // octets without CRLF
  LongLines long_lines = LongLines::refuse;
  std::size_t header_size = 0;  // bytes
  bool hide_client = false;
};

enum class DnssecTrust { automatic, trust, required, off };

struct DnsSettings {
  std::vector<std::string> servers;  // "127.0.0.1:5353" or "resolver:53"; empty = resolv.conf
  DnssecTrust dnssec = DnssecTrust::automatic;
  Millis timeout{0};
};

struct EgressSettings {
  std::vector<Network> allow;
};

enum class IpFamily { automatic, v4, v6 };
enum class TlsFloor { opportunistic, required };

struct DeliverySettings {
  std::uint16_t port = 0;
  IpFamily ip = IpFamily::automatic;
  std::vector<Millis> retry;
  Millis expire{0};
  Millis delay_notice_after{0};
  unsigned connections_per_destination = 0;
  unsigned connections_per_mx = 0;
  Rate rate_per_mx;
  unsigned messages_per_connection = 0;
  Millis idle_connection{0};
  unsigned connections_total = 0;
  TlsFloor tls = TlsFloor::opportunistic;
};

struct SourceSettings {
  std::string address;
  std::string hostname;
};

enum class RouteTls { opportunistic, required, verify };

// One entry of `via`: where mail of a route goes.
struct NextHop {
  enum class Kind { host, mx };  // `host` connects to it; `mx` looks the MX of the name up
  Kind kind = Kind::host;
  HostPort target;
  bool implicit_tls = false;
};

struct RouteSettings {
  std::vector<std::string> recipients;  // "corp.example", "*.corp.example", "*"
  std::vector<std::string> senders;
  std::vector<NextHop> via;
  RouteTls tls = RouteTls::verify;
  std::string username;
  std::string password;  // from password_file
  std::string min_version;
  std::vector<std::string> ciphers;  // OpenSSL's names of TLS 1.2 ciphers; empty = as usual
};

enum class Relaxation { bad_certificate, no_starttls };

struct ExceptionSettings {
  std::string domain;  // exactly one of domain and mx is set
  std::string mx;
  std::vector<Relaxation> allow;
  std::string reason;
  std::chrono::sys_days until;  // the last day on which it holds (UTC)
};

enum class PolicyMode { enforce, observe, off };

struct StsSettings {
  PolicyMode mode = PolicyMode::enforce;
  std::uint16_t https_port = 0;
  Millis fetch_timeout{0};
  Millis refresh{0};
  std::uint64_t max_policy_size = 0;  // bytes
};

struct DaneSettings {
  PolicyMode mode = PolicyMode::enforce;
};

struct TlsrptSettings {
  bool enabled = true;
  std::string organization;  // filled in by the loader when the key is empty
  std::string contact;       // likewise
  std::vector<std::string> exclude;
  Millis jitter{0};
  bool only_failures = false;
  bool https = true;
  std::uint16_t https_port = 0;
  Millis retry_for{0};
};

enum class DkimSigning { off, sender_domain };

struct DkimSettings {
  DkimSigning sign = DkimSigning::off;
  std::string selector;
  std::filesystem::path key_dir;  // filled in by the loader when the key is empty
};

struct QueueSettings {
  std::string engine;
  std::uint64_t inline_limit = 0;  // bytes
  DiskReserve min_free_space;
  Millis history{0};
  std::uint64_t history_size = 0;  // bytes
  Millis bounce_expire{0};
};

struct AdminSettings {
  std::filesystem::path socket;  // filled in by the loader when the key is empty
  std::optional<HostPort> http;  // nullopt = off
  std::filesystem::path token_file;
  std::string token;  // read from token_file
};

enum class LogFormat { automatic, text, json };
enum class LogLevel { trace, debug, info, warning, error };
enum class LogAddresses { full, masked, hmac };

struct LogSettings {
  LogFormat format = LogFormat::automatic;
  LogLevel level = LogLevel::info;
  LogAddresses addresses = LogAddresses::full;
};

struct ShutdownSettings {
  Millis grace{0};
};

struct Settings {
  std::string hostname;
  std::string postmaster;  // filled in by the loader when the key is empty
  std::filesystem::path data_dir;
  RuntimeSettings runtime;
  std::vector<ListenerSettings> listeners;
  ServerTlsSettings tls;
  TrustSettings trust;
  AuthSettings auth;
  std::vector<UserSettings> users;
  LimitsSettings limits;
  DnsSettings dns;
  EgressSettings egress;
  DeliverySettings delivery;
  std::vector<SourceSettings> sources;
  std::vector<RouteSettings> routes;
  std::vector<ExceptionSettings> exceptions;
  StsSettings sts;
  DaneSettings dane;
  TlsrptSettings tlsrpt;
  DkimSettings dkim;
  QueueSettings queue;
  AdminSettings admin;
  LogSettings log;
  ShutdownSettings shutdown;
};

using SettingsPtr = std::shared_ptr<const Settings>;

}  // namespace holdfast
