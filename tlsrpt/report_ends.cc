#include "tlsrpt/report_ends.h"

#include <boost/asio/post.hpp>

namespace holdfast {

void ReportEnds::recipient_ended(const RecipientEnd& end) {
  if (end.origin != kReportOrigin) return;
  asio::post(disk_, [this, end] { note(end); });
}

void ReportEnds::note(const RecipientEnd& end) {
  using enum RecipientEnd::How;
  const TargetState state = end.how == delivered ? TargetState::sent
                            : end.how == bounced ? TargetState::bounced
                                                 : TargetState::given_up;
  const std::string reason = end.how == removed ? "the operator removed the mail from the queue" : end.reason;
  auto noted = store_.mail_ended(end.idempotency_key, state, end.how == delivered ? "" : reason);
  if (end.how == bounced) {
    metrics_.counter("tlsrpt_reports_total", {{"method", "mailto"}, {"result", "bounced"}}).add();
    log_.warning("a TLS report bounced; its address gets none for a week",
                 Fields().add("msg", end.id.text()).add_address("to", end.recipient).add("reason", reason));
    SuppressedAddress address;
    address.address = end.recipient;
    address.until = clock_.wall() + kSuppressFor;
    address.reason = reason;
    if (noted) noted = store_.suppress(address);
  }
  if (!noted) log_.error("tlsrpt: the end of a report mail could not be noted: " + noted.error().text());
}

}  // namespace holdfast
