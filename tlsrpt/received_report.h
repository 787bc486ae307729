// tlsrpt/received_report.h — a TLS report that others sent us, read in whatever shape it came. Pure.
//
// Senders deviate from RFC 8460 section 4.4: fields missing, one string where an array belongs, counts in
// quotes, other casing. What can be understood is taken; what cannot is an Error in one clear line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.h"

namespace holdfast {

inline constexpr std::size_t kMaxReceivedReport =
    16 * 1024 * 1024;  // unpacked, octets; real ones stay below 1 MiB

struct ReceivedFailure {
  std::string result, sending_mta_ip, receiving_mx_hostname, receiving_mx_helo, receiving_ip;
  std::string additional_information, reason_code;
  std::uint64_t sessions = 0;
};

struct ReceivedPolicy {
  std::string type, domain;  // lower case
  std::vector<std::string> text, mx;
  std::uint64_t successful = 0, failed = 0;
  std::vector<ReceivedFailure> failures;
};

struct ReceivedReport {
  std::string organization, contact, report_id;
  std::string start, end;  // as given: "2026-11-21T00:00:00Z"
  std::vector<ReceivedPolicy> policies;
  std::string day() const;  // "2026-11-21"; what is no ASCII ends it
};

// JSON, gzip of it, or a mail that carries either. BaseError::malformed or too_long.
Result<ReceivedReport> read_received_report(std::string_view octets);
Result<ReceivedReport> parse_received_report(std::string_view json);

}  // namespace holdfast
