// tlsrpt: the record that names where reports go, and the reports that others send us.
#include <boost/json.hpp>

#include "smtp/base/utf8.h"
#include "smtp/wire/address.h"
#include "tests/fuzz/fuzz.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/received_report.h"
#include "tlsrpt/record.h"
#include "tlsrpt/report_part.h"
#include "tlsrpt/report_summary.h"

namespace holdfast::fuzz {

void fuzz_tlsrpt_record(std::string_view input) {
  const std::string text(input);
  const auto record = parse_tlsrpt_record(text);
  if (!record) return;
  require(record->targets.size() <= kMaxReportTargets, "a record is no mailing list");
  for (const ReportTarget& target : record->targets) {
    if (target.kind == ReportTarget::Kind::mailto) {
      const auto mailbox = Mailbox::parse(target.address);
      require(mailbox && mailbox->text() == target.address, "a report is mailed to a mailbox");
    } else {
      require(target.address.size() > 6 && target.address[5] == ':', "a report is posted to an https URL");
    }
  }
  const auto same = [&](const Result<std::optional<TlsrptRecord>>& found) {
    return found && *found && (*found)->targets == record->targets;
  };
  require(same(find_tlsrpt_record({text})), "a sound record is found");
  require(same(find_tlsrpt_record({"v=spf1 -all", text, "v=TLSRPTv10; rua=mailto:x@one.example"})),
          "records beside it do not hide it");
  require(!find_tlsrpt_record({text, text}), "of two records none counts");
}

void fuzz_received_report(std::string_view input) {
  find_report_part(input);
  const auto report = read_received_report(input);
  if (!report) {
    require(!report.error().text().empty(), "an error says what is wrong");
    return;
  }
  const auto summary = summarise({*report, *report});
  const std::string text = summary_text(summary), json = summary_json(summary);
  for (const auto line : split(text, '\n'))
    require(has_no_controls(line) && is_utf8(line), "what a report says is harmless on a terminal");
  for (const auto line : split(json, '\n')) {
    if (line.empty()) continue;
    boost::system::error_code error;
    boost::json::parse(line, error);
    require(!error, "a summary is JSON, line by line");
  }
}

void fuzz_gzip(std::string_view input) {
  constexpr std::size_t kLimit = 64 * 1024;
  const auto unpacked = gunzip(input, kLimit);
  if (unpacked) require(unpacked->size() <= kLimit, "a bomb costs no more than the limit");
  const std::string packed = gzip(input);
  require(looks_like_gzip(packed), "gzip is known by its first octets");
  const auto again = gunzip(packed, input.size());
  require(again && *again == input, "gzip is read as it is written");
  const auto twice = gunzip(packed + packed, 2 * input.size());
  require(twice && twice->size() == 2 * input.size(), "all members count");
  if (!input.empty()) require(!gunzip(packed, input.size() - 1), "the limit is exact");
  require(
      !gunzip(std::string_view(packed).substr(0, packed.size() - 1 - hash_of(input) % (packed.size() - 1)),
              kLimit),
      "what is cut off is refused");
}

}  // namespace holdfast::fuzz
