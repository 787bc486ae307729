#include "tlsrpt/preview.h"

namespace holdfast {

asio::awaitable<TargetLookup> lookup_report_targets(Resolver& resolver, DomainName domain) {
  TargetLookup found;
  auto answer = co_await resolver.query("_smtp._tls." + domain.text(), RecordType::txt);
  if (is_unknown(answer.status)) {
    found.unknown = std::string("_smtp._tls.") + domain.text() + ": " + describe(answer.status);
    found.temporary = true;
    co_return found;
  }
  std::vector<std::string> records;
  for (const auto& record : answer.records) {
    if (const auto* text = std::get_if<std::string>(&record)) records.push_back(*text);
  }
  auto record = find_tlsrpt_record(records);
  if (!record) {
    found.unknown = record.error().detail;
  } else if (*record) {
    found.targets = (*record)->targets;
    if (found.targets.empty()) found.unknown = "the record names no usable target";
  }
  co_return found;
}

asio::awaitable<Result<std::string>> preview_reports(DurableLedger& ledger, Resolver& resolver,
                                                     ReportSender sender, std::chrono::sys_days day,
                                                     DomainName domain) {
  auto rows = co_await ledger.rows(day, domain);
  if (!rows) co_return rows.error();
  std::string lines;
  for (const auto& report : build_reports(*rows, sender)) {
    auto targets = co_await lookup_report_targets(resolver, report.domain);
    lines += preview_json(report, targets.targets, targets.unknown) + "\n";
  }
  co_return lines;
}

}  // namespace holdfast
