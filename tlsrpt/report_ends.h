// tlsrpt/report_ends.h — listens for the end of report mails: delivered, or bounced and then suppressed.
#pragma once

#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/message_sink.h"
#include "tlsrpt/reporter_store.h"

namespace holdfast {

inline constexpr std::string_view kReportOrigin = "tlsrpt";
inline constexpr auto kSuppressFor = std::chrono::days(7);

class ReportEnds final : public OriginObserver {
 public:
  // `disk` is the executor on which the store is used, one job at a time. All outlive it and the jobs on
  // `disk`.
  ReportEnds(ReporterStore& store, Executor disk, Clock& clock, Log& log, Metrics& metrics)
      : store_(store), disk_(disk), clock_(clock), log_(log), metrics_(metrics) {}
  void recipient_ended(const RecipientEnd& end) override;

 private:
  void note(const RecipientEnd& end);

  ReporterStore& store_;
  Executor disk_;
  Clock& clock_;
  Log& log_;
  Metrics& metrics_;
};

}  // namespace holdfast
