// The part of the Reporter that tries one target, by HTTPS or by mail, and looks for the key of mails in DNS.
#include "smtp/base/hop.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/report_ends.h"
#include "tlsrpt/report_json.h"
#include "tlsrpt/report_mail.h"
#include "tlsrpt/reporter.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr auto kHttpLimit = seconds(60);
constexpr std::size_t kMaxHttpAnswer = 64 * 1024;
constexpr auto kCheckKeyEvery = seconds(30);
constexpr auto kWarnOfKeyEvery = hours(1);
constexpr auto kShortestLife = hours(1);  // of a report mail in the queue

Attempt attempt(Attempt::Result result, std::string reason = {}) {
  Attempt made;
  made.result = result;
  made.reason = std::move(reason);
  return made;
}

const char* method(const ReportTarget& target) {
  return target.kind == ReportTarget::Kind::https ? "https" : "mailto";
}

std::string joined(const Reply& reply) {
  std::string out = std::to_string(reply.code);
  for (const auto& line : reply.text) out += " " + line;
  return out;
}

}  // namespace

// Section 5.4.
asio::awaitable<Attempt> Reporter::post(std::string body, std::string address, SettingsPtr settings) {
  auto url = HttpsUrl::parse(address, settings->tlsrpt.https_port);
  if (!url) co_return attempt(Attempt::Result::useless, url.error().detail);
  HttpLimits limits;
  limits.max_body = kMaxHttpAnswer;
  limits.total = kHttpLimit;
  auto response =
      co_await parts_.https.post(std::move(*url), "application/tlsrpt+gzip", std::move(body), limits);
  if (!response) {
    const bool never = response.error().is(StsError::not_permitted);
    co_return attempt(never ? Attempt::Result::useless : Attempt::Result::again, response.error().text());
  }
  // A redirect is not followed, and no status but 2xx means that anybody has the report.
  if (response->status / 100 == 2) co_return attempt(Attempt::Result::sent);
  co_return attempt(Attempt::Result::again, "HTTP status " + std::to_string(response->status));
}

// Section 5.3.
asio::awaitable<Attempt> Reporter::mail(const ReportProgress& report, ReportTarget target,
                                        SettingsPtr settings) {
  const WallTime now = parts_.clock.wall();
  std::optional<SuppressedAddress> suppressed;
  std::function<Result<void>()> find = [&]() -> Result<void> {
    auto found = parts_.store.suppressed(target.address, now);
    if (!found) return found.error();
    suppressed = std::move(*found);
    return {};
  };
  auto found = co_await on_disk(std::move(find));
  if (!found) co_return attempt(Attempt::Result::again, found.error().text());
  if (suppressed)
    co_return attempt(Attempt::Result::useless,
                      "suppressed, since mail to it bounced: " + suppressed->reason);
  co_await check_key(settings);
  if (!key_.missing.empty())
    co_return attempt(Attempt::Result::hold, "mail waits for its signing key: " + key_.missing);

  auto stored = report_from_json(report.json, report.day, report.domain);
  if (!stored) co_return attempt(Attempt::Result::useless, stored.error().text());
  auto to = Mailbox::parse(target.address);
  if (!to) co_return attempt(Attempt::Result::useless, to.error().text());
  auto from = Mailbox::parse(stored->contact);
  if (!from) co_return attempt(Attempt::Result::useless, "contact: " + from.error().text());

  Envelope envelope;
  envelope.origin = kReportOrigin;
  envelope.idempotency_key = mail_key(report.report_id, target);
  envelope.reverse_path = std::move(*from);
  EnvelopeRecipient recipient;
  recipient.address = std::move(*to);
  recipient.dsn.notify = kNotifyNever;  // its end is told to us; no person needs to read of it
  envelope.recipients.push_back(std::move(recipient));
  envelope.tls.tls_required_no = true;
  envelope.may_say_tls_required_no = true;
  envelope.counts_in_tlsrpt = false;  // or reports breed reports
  envelope.signing_domain = submitter_of(stored->contact);
  envelope.expires = now + std::max<Millis>(settings->tlsrpt.retry_for, kShortestLife);
  StringBody body(report_mail(*stored, gzip(report.json), target.address, now));
  auto accepted = co_await parts_.sink.accept(std::move(envelope), body);
  if (!accepted) co_return attempt(Attempt::Result::again, accepted.error().text());
  if (!accepted->id) co_return attempt(Attempt::Result::again, joined(accepted->refusal));
  Attempt made = attempt(Attempt::Result::queued, queued_reason(*accepted->id));
  co_return made;
}

void Reporter::tell(const ReportProgress& report, const TargetProgress& target) const {
  Fields fields;
  fields.add("domain", report.domain.text());
  fields.add("day", std::string_view(report.report_id).substr(0, 8));
  fields.add("report_id", report.report_id).add("method", method(target.target));
  if (target.target.kind == ReportTarget::Kind::mailto) {
    fields.add_address("to", target.target.address);
  } else {
    fields.add("url", target.target.address);
  }
  if (target.state != TargetState::waiting) {
    const bool gone = target.state != TargetState::given_up;
    fields.add("state", name(target.state));
    parts_.metrics
        .counter("tlsrpt_reports_total",
                 {{"method", method(target.target)}, {"result", gone ? "sent" : "given_up"}})
        .add();
    if (gone) return parts_.log.event("tlsrpt_sent", fields);
    return parts_.log.warning("a TLS report was given up", fields.add("reason", target.reason));
  }
  parts_.log.info("a TLS report could not be sent yet",
                  fields.add("attempts", target.attempts).add("reason", target.reason));
}

asio::awaitable<void> Reporter::check_key(SettingsPtr settings) {
  const WallTime now = parts_.clock.wall();
  if (now >= key_.checked && now - key_.checked < kCheckKeyEvery) co_return;
  KeyRecord record;
  std::function<Result<void>()> read = [&]() -> Result<void> {
    auto made = parts_.key.record(*settings);
    if (!made) return made.error();
    record = std::move(*made);
    return {};
  };
  auto done = co_await on_disk(std::move(read));
  if (!done) {
    key_.missing = done.error().text();
  } else {
    if (record.value != key_.record.value) {
      parts_.log.info("TLS reports by mail are signed with this key; its DNS record",
                      Fields().add("name", record.name).add("txt", record.value));
    }
    key_.record = record;
    const bool was_found = key_.missing.empty();
    std::string missing = co_await why_key_is_not_found(parts_.resolver, record);
    if (missing.empty() && !was_found) parts_.log.info("the key of TLS reports is in DNS");
    key_.missing = std::move(missing);
  }
  key_.checked = now;  // only now: who asks meanwhile waits for the same answer
  if (key_.missing.empty()) {
    key_.warned = {};
  } else if (key_.warned == WallTime() || now - key_.warned >= kWarnOfKeyEvery) {
    key_.warned = now;
    parts_.log.warning("TLS reports by mail wait until their signing key is found in DNS",
                       Fields().add("why", key_.missing).add("publish", key_.record.zone_line));
  }
}

}  // namespace holdfast
