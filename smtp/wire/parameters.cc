#include "smtp/wire/parameters.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

#include "smtp/base/utf8.h"
#include "smtp/wire/address.h"
#include "smtp/wire/ascii.h"
#include "smtp/wire/xtext.h"

namespace holdfast {

std::optional<std::uint64_t> parse_digits(std::string_view text, std::size_t max_digits) {
  std::uint64_t value = 0;
  if (text.empty() || text.size() > max_digits) return std::nullopt;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::chrono::sys_seconds> parse_date_time(std::string_view text) {
  using namespace std::chrono;
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || to_upper(text[10]) != 'T' || text[13] != ':' ||
      text[16] != ':') {
    return std::nullopt;
  }
  auto number = [&](std::size_t at, std::size_t count) {
    return parse_digits(text.substr(at, count), count);
  };
  const auto y = number(0, 4), mo = number(5, 2), d = number(8, 2);
  const auto h = number(11, 2), mi = number(14, 2), s = number(17, 2);
  if (!y || !mo || !d || !h || !mi || !s || *h > 23 || *mi > 59 || *s > 60) return std::nullopt;
  const year_month_day date(year(static_cast<int>(*y)), month(static_cast<unsigned>(*mo)),
                            day(static_cast<unsigned>(*d)));
  if (!date.ok()) return std::nullopt;
  std::size_t at = 19;
  if (text[at] == '.') {
    const std::size_t end = text.find_first_not_of("0123456789", at + 1);
    if (end == std::string_view::npos || end == at + 1) return std::nullopt;
    at = end;
  }
  minutes offset{0};
  const std::string_view zone = text.substr(at);
  if (to_upper(zone[0]) != 'Z') {
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return std::nullopt;
    const auto zh = number(at + 1, 2), zm = number(at + 4, 2);
    if (!zh || !zm || *zh > 23 || *zm > 59) return std::nullopt;
    offset = minutes(static_cast<int>(*zh * 60 + *zm)) * (zone[0] == '-' ? -1 : 1);
  } else if (zone.size() != 1) {
    return std::nullopt;
  }
  const auto time =
      hours(static_cast<int>(*h)) + minutes(static_cast<int>(*mi)) + seconds(static_cast<int>(*s));
  return sys_days(date) + time - offset;
}

namespace {

struct Parameter {
  std::string keyword;  // upper case
  std::string_view value;
  bool has_value = false;
};

Reply bad(std::string text) { return make_reply(501, "5.5.4 " + std::move(text)); }

bool is_keyword(std::string_view text) {
  auto alphanumeric = [](char c) {
    return (to_upper(c) >= 'A' && to_upper(c) <= 'Z') || (c >= '0' && c <= '9');
  };
  if (text.empty() || !alphanumeric(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return alphanumeric(c) || c == '-'; });
}

Parsed<std::vector<Parameter>> split_parameters(std::string_view text) {
  std::vector<Parameter> parameters;
  while (true) {
    const std::string_view word = cut_word(text);
    if (word.empty()) return parameters;
    const std::size_t equals = word.find('=');
    Parameter parameter;
    parameter.keyword = upper_case(word.substr(0, equals));
    parameter.has_value = equals != std::string_view::npos;
    if (parameter.has_value) parameter.value = word.substr(equals + 1);
    const bool printable = std::all_of(word.begin(), word.end(),
                                       [](char c) { return static_cast<unsigned char>(c) > 32 && c != 127; });
    if (!is_keyword(parameter.keyword) || !printable || !is_utf8(word) ||
        (parameter.has_value && parameter.value.empty())) {
      return bad("Malformed parameter, expected KEYWORD or KEYWORD=VALUE: " + sanitise(word, 60));
    }
    for (const Parameter& earlier : parameters) {
      if (earlier.keyword == parameter.keyword) return bad("Parameter given twice: " + parameter.keyword);
    }
    parameters.push_back(std::move(parameter));
  }
}

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 32 && c <= 126; });
}

// The decoded value of AUTH= (RFC 4954 section 5): "<>" or an address.
std::optional<std::string> auth_address(std::string_view value) {
  auto decoded = xtext_decode(value);
  if (!decoded) return std::nullopt;
  if (*decoded == "<>" || Mailbox::parse(*decoded)) return decoded;
  return std::nullopt;
}

std::optional<Reply> apply_size(MailParameters& mail, const Parameter& parameter) {
  const bool digits = !parameter.value.empty() && parameter.value.size() <= 20 &&
                      parameter.value.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits) return bad("SIZE must be a number of octets: SIZE=12345");
  // What does not fit into 64 bits is larger than any limit all the same.
  mail.size = parse_digits(parameter.value, 20).value_or(UINT64_MAX);
  return std::nullopt;
}

std::optional<Reply> apply_body(MailParameters& mail, const Parameter& parameter) {
  if (equal_ignoring_case(parameter.value, "8BITMIME")) {
    mail.eight_bit = true;
    return std::nullopt;
  }
  if (equal_ignoring_case(parameter.value, "7BIT")) return std::nullopt;
  return bad("BODY must be 7BIT or 8BITMIME (BINARYMIME is not offered)");
}

std::optional<Reply> apply_ret(MailParameters& mail, const Parameter& parameter) {
  if (equal_ignoring_case(parameter.value, "FULL")) {
    mail.dsn_return = DsnReturn::full;
  } else if (equal_ignoring_case(parameter.value, "HDRS")) {
    mail.dsn_return = DsnReturn::headers;
  } else {
    return bad("RET must be FULL or HDRS");
  }
  return std::nullopt;
}

std::optional<Reply> apply_envid(MailParameters& mail, const Parameter& parameter) {
  if (parameter.value.size() > kMaxEnvelopeId)
    return bad(fmt::format("ENVID is longer than {} octets", kMaxEnvelopeId));
  const auto decoded = xtext_decode(parameter.value);
  // RFC 3461 section 4.4: decoded, it is printable ASCII, since it goes into a header field of the DSN.
  if (!decoded || !is_printable_ascii(*decoded))
    return bad("ENVID must be xtext of printable ASCII (RFC 3461 section 4)");
  mail.envelope_id = parameter.value;
  return std::nullopt;
}

std::optional<Reply> apply_hold_for(MailParameters& mail, const Parameter& parameter) {
  const auto interval = parse_digits(parameter.value, 9);  // RFC 4865 section 4: 1 to 9 digits
  if (!interval || *interval == 0) return bad("HOLDFOR must be a number of seconds of 1 to 9 digits");
  mail.hold_for = std::chrono::seconds(*interval);
  return std::nullopt;
}

std::optional<Reply> apply_hold_until(MailParameters& mail, const Parameter& parameter) {
  mail.hold_until = parse_date_time(parameter.value);
  if (!mail.hold_until) return bad("HOLDUNTIL must be a time such as 2026-11-21T22:00:00Z (RFC 3339)");
  return std::nullopt;
}

std::optional<Reply> apply_auth(MailParameters& mail, const Parameter& parameter) {
  mail.auth = auth_address(parameter.value);
  if (!mail.auth) return bad("AUTH must be <> or an address in xtext (RFC 4954 section 5)");
  return std::nullopt;
}

std::optional<Reply> apply_smtputf8(MailParameters& mail, const Parameter&) {
  mail.smtputf8 = true;
  return std::nullopt;
}

std::optional<Reply> apply_requiretls(MailParameters& mail, const Parameter&) {
  mail.requiretls = true;
  return std::nullopt;
}

std::optional<Reply> apply_notify(RcptParameters& rcpt, const Parameter& parameter) {
  std::string_view rest = parameter.value;
  const auto wrong =
      bad("NOTIFY must be NEVER, or a list of SUCCESS, FAILURE and DELAY: NOTIFY=FAILURE,DELAY");
  while (true) {
    const std::string word = upper_case(rest.substr(0, rest.find(',')));
    std::uint8_t flag = 0;
    if (word == "NEVER") flag = kNotifyNever;
    if (word == "SUCCESS") flag = kNotifySuccess;
    if (word == "FAILURE") flag = kNotifyFailure;
    if (word == "DELAY") flag = kNotifyDelay;
    if (flag == 0) return wrong;
    rcpt.dsn.notify = static_cast<std::uint8_t>(rcpt.dsn.notify | flag);
    if (rest.find(',') == std::string_view::npos) break;
    rest.remove_prefix(rest.find(',') + 1);
  }
  const bool never = (rcpt.dsn.notify & kNotifyNever) != 0;
  if (never && rcpt.dsn.notify != kNotifyNever) return wrong;  // RFC 3461 section 4.1
  return std::nullopt;
}

std::optional<Reply> apply_orcpt(RcptParameters& rcpt, const Parameter& parameter) {
  const std::string_view value = parameter.value;
  if (value.size() > kMaxOriginalRecipient)
    return bad(fmt::format("ORCPT is longer than {} octets", kMaxOriginalRecipient));
  const std::size_t semicolon = value.find(';');
  const std::string_view type = value.substr(0, semicolon);
  if (semicolon == std::string_view::npos || !is_keyword(type) || semicolon + 1 == value.size()) {
    return bad("ORCPT must be TYPE;ADDRESS, such as ORCPT=rfc822;user@example.com");
  }
  const std::string_view address = value.substr(semicolon + 1);
  if (equal_ignoring_case(type, "utf-8")) {
    // RFC 6533 section 3: utf-8-addr-xtext or unitext; both are free of '+', '=' and controls but for the
    // escape \x{…}. It is kept as given and written back as such.
    if (address.find_first_of("+=") != std::string_view::npos)
      return bad("ORCPT=utf-8; holds an octet that must be \\x{HEX}");
  } else {
    const auto decoded = xtext_decode(address);
    if (!decoded || !is_printable_ascii(*decoded))
      return bad("ORCPT must be xtext of printable ASCII (RFC 3461 section 4)");
  }
  rcpt.dsn.original_recipient = value;
  return std::nullopt;
}

template <class T>
struct Rule {
  std::string_view keyword;
  bool needs_value;
  std::optional<Reply> (*apply)(T&, const Parameter&);
};

constexpr std::array<Rule<MailParameters>, 9> kMailRules{{
    {"SIZE", true, apply_size},
    {"BODY", true, apply_body},
    {"SMTPUTF8", false, apply_smtputf8},
    {"REQUIRETLS", false, apply_requiretls},
    {"RET", true, apply_ret},
    {"ENVID", true, apply_envid},
    {"AUTH", true, apply_auth},
    {"HOLDFOR", true, apply_hold_for},
    {"HOLDUNTIL", true, apply_hold_until},
}};

constexpr std::array<Rule<RcptParameters>, 2> kRcptRules{{
    {"NOTIFY", true, apply_notify},
    {"ORCPT", true, apply_orcpt},
}};

template <class T, std::size_t N>
Parsed<T> parse(std::string_view text, const std::array<Rule<T>, N>& rules, std::string_view command) {
  auto parameters = split_parameters(text);
  if (!parameters) return parameters.error();
  T result;
  for (const Parameter& parameter : *parameters) {
    const auto rule = std::find_if(rules.begin(), rules.end(),
                                   [&](const auto& r) { return r.keyword == parameter.keyword; });
    if (rule == rules.end()) {
      return make_reply(
          555, fmt::format("5.5.4 {} parameter not supported: {}", command, sanitise(parameter.keyword, 60)));
    }
    if (rule->needs_value != parameter.has_value) {
      return bad(fmt::format("{} {}", rule->keyword, rule->needs_value ? "needs a value" : "takes no value"));
    }
    if (auto refusal = rule->apply(result, parameter)) return *refusal;
  }
  return result;
}

}  // namespace

Parsed<MailParameters> parse_mail_parameters(std::string_view text) {
  auto mail = parse(text, kMailRules, "MAIL");
  if (mail && mail->hold_for && mail->hold_until)
    return bad("Give HOLDFOR or HOLDUNTIL, not both");  // RFC 4865 section 4
  return mail;
}

Parsed<RcptParameters> parse_rcpt_parameters(std::string_view text) {
  return parse(text, kRcptRules, "RCPT");
}

}  // namespace holdfast
