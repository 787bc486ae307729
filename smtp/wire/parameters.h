// smtp/wire/parameters.h — the ESMTP parameters of MAIL and RCPT (RFC 5321 section 4.1.1.11), each checked as
// its extension says. A refusal is a value: the very Reply to send.
#pragma once

#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/wire/dsn_options.h"
#include "smtp/wire/reply.h"

namespace holdfast {

template <class T>
using Parsed = boost::system::result<T, Reply>;

inline constexpr std::size_t kMaxEnvelopeId = 100;         // RFC 3461 section 4.4, octets as given
inline constexpr std::size_t kMaxOriginalRecipient = 500;  // section 4.2

struct MailParameters {
  std::optional<std::uint64_t> size;  // RFC 1870
  bool eight_bit = false;             // BODY=8BITMIME, RFC 6152
  bool smtputf8 = false;              // RFC 6531
  bool requiretls = false;            // RFC 8689
  DsnReturn dsn_return = DsnReturn::unspecified;
  std::string envelope_id;                       // ENVID, xtext still encoded
  std::optional<std::string> auth;               // AUTH=, RFC 4954 section 5, decoded: an address or "<>"
  std::optional<std::chrono::seconds> hold_for;  // RFC 4865; at most one of the two
  std::optional<std::chrono::sys_seconds> hold_until;
};

struct RcptParameters {
  RecipientDsn dsn;
};

// `text` is what follows the path. Refusals: 501 5.5.4 for a bad value, a repeated keyword or contradicting
// ones, 555 5.5.4 for a keyword that is not offered.
Parsed<MailParameters> parse_mail_parameters(std::string_view text);
Parsed<RcptParameters> parse_rcpt_parameters(std::string_view text);

// "2026-11-21T22:00:00Z", "…+01:00", with or without a fraction (dropped); RFC 3339 section 5.6.
std::optional<std::chrono::sys_seconds> parse_date_time(std::string_view text);

}  // namespace holdfast
