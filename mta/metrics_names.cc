#include "mta/metrics_names.h"

#include <algorithm>

namespace holdfast {
namespace {

using enum MetricKind;

const std::vector<double> attempt_seconds = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600};
const std::vector<double> delay_seconds = {0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400, 432000};
const std::vector<double> lookup_seconds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5};
const std::vector<double> commit_seconds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                            0.05,   0.1,   0.25,   0.5,   1,    5};
const std::vector<double> batch_sizes = {1, 2, 4, 8, 16, 32, 64, 128, 256};

}  // namespace

const std::vector<MetricInfo>& metric_names() {
  static const std::vector<MetricInfo> names = {
      {"messages_accepted_total", counter, "Messages acknowledged with 250, by listener.", true},
      {"submission_rejections_total", counter, "Submissions refused, by reason.", true},
      {"submission_unusual_volume_total", counter, "Hours in which a user sent unusually much.", false},
      {"auth_attempts_total", counter, "Logins, by mechanism and result.", true},
      {"queue_messages", gauge, "Recipients in the queue, by state.", true},
      {"queue_bytes", gauge, "Octets of the messages in the queue.", false},
      {"queue_oldest_age_seconds", gauge, "Age of the oldest message in the queue.", false},
      {"delivery_attempts_total", counter,
       "Delivery attempts per recipient, by result and applied TLS policy.", true},
      {"delivery_duration_seconds", histogram, "Time of one delivery attempt.", false, attempt_seconds},
      {"message_delay_seconds", histogram, "Time from acceptance to delivery.", false, delay_seconds},
      {"tls_sessions_total", counter, "Outgoing TLS sessions, by policy and RFC 8460 result type.", true},
      {"policy_lowered_total", counter,
       "Outgoing TLS sessions that enforcing would have refused, by cause and what failed.", true},
      {"sts_fetch_total", counter, "Fetches of MTA-STS policies, by result.", true},
      {"sts_downgrade_total", counter, "MTA-STS policies that became weaker or vanished.", false},
      {"dane_lookups_total", counter, "TLSA lookups, by result.", true},
      {"dns_lookup_duration_seconds", histogram, "Time of one DNS lookup that was not cached, by type.", true,
       lookup_seconds},
      {"tlsrpt_reports_total", counter, "TLS reports sent or given up, by method and result.", true},
      {"store_commit_duration_seconds", histogram, "Time of one synced commit of the queue.", false,
       commit_seconds},
      {"store_batch_messages", histogram, "Messages taken in by one commit.", false, batch_sizes},
      {"store_free_bytes", gauge, "Free octets of the file system of data_dir.", false},
      {"certificate_expiry_timestamp_seconds", gauge,
       "When the certificate shown to clients expires (Unix time).", false},
      {"certificate_reload_failures_total", counter,
       "New certificates that could not be used; the old one stayed.", false},
      {"dnssec_validating", gauge, "1 when the resolver was seen to validate DNSSEC.", false},
      {"build_info", gauge, "Always 1; the version is a label.", true},
  };
  return names;
}

const MetricInfo* find_metric(std::string_view name) {
  const auto& all = metric_names();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const MetricInfo& info) { return info.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace holdfast
