#include "queue/deliverer.h"

#include <boost/asio/post.hpp>
#include <exception>
#include <map>

#include "queue/delivery_job.h"
#include "queue/delivery_sign.h"
#include "queue/retry_schedule.h"
#include "smtp/base/hop.h"

namespace holdfast {
namespace {

// How long close() lets the writer repeat what the store does not take.
constexpr Duration kCloseLimit = std::chrono::seconds(10);
// After a bug in a delivery its work is not tried again at once.
constexpr Duration kAfterBug = std::chrono::minutes(5);

}  // namespace

Deliverer::Deliverer(DeliveryContext context, GrantSink& sink)
    : context_(std::move(context)),
      sink_(sink),
      metrics_(context_.metrics),
      pool_(context_.executor, context_.clock, context_.budget,
            [this](std::string what) { context_.log.error("bug: ending a connection: " + what); }),
      writer_(context_, sink),
      deliveries_(context_.executor,
                  [this](std::string what) { context_.log.error("bug: delivery: " + what); }),
      disposals_(context_.executor,
                 [this](std::string what) { context_.log.error("bug: giving back: " + what); }) {}

void Deliverer::start(Grant grant) {
  asio::post(context_.executor, [this, g = std::move(grant)]() mutable {
    if (!deliveries_.stopping()) {
      deliveries_.spawn(run(std::move(g)));
      return;
    }
    GrantReport report;
    report.how = GrantReport::How::aborted;
    report.unfinished = std::move(g.claims);
    sink_.finished(g.permit, std::move(report));
  });
}

asio::awaitable<void> Deliverer::run(Grant grant) {
  const std::uint64_t permit = grant.permit;
  const SettingsPtr settings = grant.settings;
  GrantReport report;
  auto job = std::make_unique<DeliveryJob>(context_, pool_, dead_, metrics_, writer_, std::move(grant));
  try {
    report = co_await job->run();
  } catch (const std::exception& e) {
    // A bug. The permit must come back all the same, and the work must neither spin nor be lost.
    context_.log.error(std::string("bug: delivery: ") + e.what());
    report.how = GrantReport::How::failed;
    report.reply = "internal error";
    Disposal disposal;
    disposal.settings = settings;
    disposal.claims = job->unfinished();
    disposal.until = context_.timeline.now() + std::chrono::floor<std::chrono::microseconds>(kAfterBug);
    disposal.reason = "internal error, see the log";
    dispose(std::move(disposal));
  }
  sink_.finished(permit, std::move(report));
}

void Deliverer::dispose(Disposal disposal) {
  asio::post(context_.executor,
             [this, d = std::move(disposal)]() mutable { disposals_.spawn(run_disposal(std::move(d))); });
}

asio::awaitable<void> Deliverer::run_disposal(Disposal disposal) {
  const Settings& settings = *disposal.settings;
  const WallTime now = context_.timeline.now();
  for (Claim& claim : disposal.claims) {
    RecordRequest request;
    request.meta = claim.meta;
    request.settings = disposal.settings;
    request.now = now;
    const bool expire = disposal.expire && claim.meta->expires <= now;
    for (ClaimedRecipient& r : claim.recipients) {
      Verdict v = own_verdict(Verdict::Kind::temporary, "4.4.7", disposal.reason);
      v.policy = disposal.policy;
      Ending e =
          ending_of(*claim.meta, claim.token, std::move(r), std::move(v), now, settings, context_.random);
      if (!expire) {
        e.fate = Fate::given_back;
        e.next_attempt = std::max(now, std::min(disposal.until, claim.meta->expires));
        e.verdict.text = disposal.reason;
      }
      if (expire) metrics_.attempts(name(e.fate), "none").add();
      request.endings.push_back(std::move(e));
    }
    if (needs_header(*claim.meta, request.endings, now, settings)) {
      auto header = co_await context_.store.read_header(claim.meta->id);
      if (header) request.header = std::move(*header);
    }
    DeliveryRecord made = build_record(std::move(request), context_.random);
    if (!made.batch.accept.empty()) {
      made = co_await sign_notifications(context_, std::move(made), claim.meta, disposal.settings, now);
    }
    writer_.add(std::move(made));
  }
}

void Deliverer::shed_idle(std::string mx_host) {
  asio::post(context_.executor, [this, host = std::move(mx_host)] { pool_.shed(host); });
}

void Deliverer::forget_failures() {
  asio::post(context_.executor, [this] { dead_.clear(); });
}

void Deliverer::abort() {
  asio::post(context_.executor, [this] { deliveries_.stop(); });
}

asio::awaitable<void> Deliverer::close() { return hop(context_.executor, close_here()); }

asio::awaitable<void> Deliverer::close_here() {
  deliveries_.stop();
  co_await deliveries_.drained();
  co_await disposals_.drained();
  closing_ = context_.clock.make_timer(context_.executor);
  closing_->arm(context_.clock.now() + kCloseLimit, [this] { writer_.give_up(); });
  co_await writer_.drained();
  closing_.reset();
  co_await pool_.stop();
}

}  // namespace holdfast
