// The part of the Scheduler that serves operators: what destinations do, pauses, and mail that is to leave
// now.
#include <algorithm>

#include "queue/scheduler.h"
#include "smtp/base/hop.h"

namespace holdfast {
namespace {

constexpr std::size_t kRowsPerPage = 500;

}  // namespace

asio::awaitable<std::vector<DestinationStatus>> Scheduler::destinations() {
  return hop(parts_.executor, destinations_here());
}

asio::awaitable<std::vector<DestinationStatus>> Scheduler::destinations_here() {
  std::vector<DestinationStatus> out;
  const SteadyTime now = parts_.clock.now();
  const unsigned limit = settings()->delivery.connections_per_destination;
  table_.for_each([&](Destination& d) { out.push_back(d.status(now, limit, parts_.timeline)); });
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  co_return out;
}

asio::awaitable<void> Scheduler::pause(std::string name) {
  return hop(parts_.executor, pause_here(std::move(name)));
}

asio::awaitable<void> Scheduler::pause_here(std::string name) {
  const Mailbox nobody;
  if (table_.named(name).empty()) table_.of(routes(), name, nobody, parts_.clock.now());
  table_.pause(name, true);
  for (Destination* d : table_.named(name))
    for (Claim& claim : d->drain()) place(std::move(claim), false);
  send_disposals();
  co_return;
}

asio::awaitable<void> Scheduler::resume(std::string name) {
  return hop(parts_.executor, resume_here(std::move(name), true));
}

asio::awaitable<void> Scheduler::retry_now(std::string name) {
  return hop(parts_.executor, resume_here(std::move(name), false));
}

asio::awaitable<void> Scheduler::resume_here(std::string name, bool unpause) {
  if (unpause) table_.pause(name, false);
  bool is_route = false;
  for (Destination* d : table_.named(name)) {
    is_route = is_route || d->route() != nullptr;
    d->clear_backoff();
  }
  for (DeliveryAgent* agent : agents_) agent->forget_failures();
  if (!is_route) co_await make_due(name);
  request_refill(parts_.clock.now());
  pump();
}

// Recipients of the domain that wait for their time, in pages; those in hand are left alone by the store.
asio::awaitable<void> Scheduler::make_due(std::string domain) {
  QueueFilter filter;
  filter.domain = std::move(domain);
  filter.state = RecipientState::queued;
  filter.limit = kRowsPerPage;
  for (;;) {
    auto rows = co_await parts_.store.list(filter);
    if (!rows) {
      parts_.log.warning("making mail due: " + rows.error().text());
      co_return;
    }
    if (rows->empty()) co_return;
    OperatorChange change;
    change.what = OperatorChange::What::retry;
    for (const QueueRow& row : *rows) {
      filter.after = std::max(filter.after, row.recipient);
      if (!row.in_hand) change.recipients.push_back(row.recipient);
    }
    const bool last = rows->size() < kRowsPerPage;
    Batch batch;
    batch.changes.push_back(std::move(change));
    auto applied = co_await parts_.store.apply(std::move(batch));
    if (!applied) {
      parts_.log.warning("making mail due: " + applied.error().text());
      co_return;
    }
    if (last) co_return;
  }
}

}  // namespace holdfast
