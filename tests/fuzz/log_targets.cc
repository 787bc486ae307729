// smtp/base/log and mta/log_format: a line is a line, whatever peers put into it.
#include <boost/json.hpp>

#include "mta/log_format.h"
#include "smtp/base/log.h"
#include "smtp/base/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {

void fuzz_log_line(std::string_view input) {
  const auto parts = split(input, '\n');
  Fields inner, fields;
  inner.add_address("to", parts.front());
  fields.add("reply", input).add("attempt", 1).add("inner", inner).add_address("from", parts.back());
  fields.append(inner);
  const WallTime at = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21);
  for (const LogAddresses how : {LogAddresses::full, LogAddresses::masked, LogAddresses::hmac}) {
    const std::string json = apply_addresses(fields, how, "key");
    for (const std::string& line :
         {json_event(at, "delivered", json), json_event(at, input, json),
          json_diagnostic(at, LogLevel::info, input, json), text_event(at, "delivered", json),
          text_event(at, input, json), text_diagnostic(at, LogLevel::error, input, json)})
      require(has_no_controls(line) && is_utf8(line), "a line of the log is one line of UTF-8");
    boost::system::error_code error;
    const auto value = boost::json::parse(json_event(at, "delivered", json), error);
    require(!error && value.is_object(), "an event is a JSON object");
    if (!is_utf8(input)) continue;
    const auto& reply = value.as_object().at("reply").as_string();
    if (how == LogAddresses::full || input.find('@') == std::string_view::npos)
      require(std::string_view(reply) == input, "a value is read as it was logged");
    if (how != LogAddresses::full)
      require(std::string_view(reply) == hide_addresses(input, how, "key"), "and loses but its addresses");
  }
}

}  // namespace holdfast::fuzz
