// What the relay says of itself: readiness, metrics, one page of state.
#include "mta/admin_json.h"
#include "mta/relay.h"
#include "smtp/base/timeout.h"

namespace holdfast {

namespace {

constexpr auto kLookAtResolver = std::chrono::seconds(30);
constexpr auto kReadyLimit = std::chrono::seconds(3);  // below every orchestrator's time-out

// Any answer will do, also that there is nothing: the resolver speaks.
asio::awaitable<Result<DnsAnswer>> ask(Resolver& resolver, std::string name) {
  co_return co_await resolver.query(std::move(name), RecordType::a);
}

}  // namespace

std::vector<std::string> Relay::faults() const {
  std::vector<std::string> reasons;
  if (!accepting_) reasons.emplace_back("the listeners are not up, or the relay stops");
  if (store_->failed()) reasons.emplace_back("the queue cannot be written any more");
  if (store_->low_on_space())
    reasons.emplace_back("the file system of data_dir is below queue.min_free_space: new mail gets 452");
  if (settings_.current()->dns.dnssec == DnssecTrust::required && !validating_)
    reasons.emplace_back("dns.dnssec is required, but the resolver was not seen to validate");
  return reasons;
}

asio::awaitable<std::string> Relay::resolver_fault() {
  auto asking = ask(resolver_, settings_.current()->hostname);
  auto answer = co_await with_timeout(clock_, kReadyLimit, std::move(asking));
  if (!answer) co_return "the resolver does not answer: " + answer.error().text();
  co_return answer->status == DnsStatus::timed_out ? "the resolver does not answer" : "";
}

asio::awaitable<std::vector<std::string>> Relay::not_ready() {
  std::vector<std::string> reasons = faults();
  auto stats = co_await store_->stats();
  if (!stats) reasons.push_back("the queue cannot be read: " + stats.error().text());
  std::string resolver = co_await resolver_fault();
  if (!resolver.empty()) reasons.push_back(std::move(resolver));
  co_return reasons;
}

void Relay::update_queue_metrics(const StoreStats& stats) {
  metrics_.set("queue_messages", static_cast<double>(stats.recipients_queued), {{"state", "queued"}});
  metrics_.set("queue_messages", static_cast<double>(stats.recipients_deferred), {{"state", "deferred"}});
  metrics_.set("queue_messages", static_cast<double>(stats.recipients_held), {{"state", "held"}});
  metrics_.set("queue_messages", static_cast<double>(stats.damaged), {{"state", "damaged"}});
  metrics_.set("queue_bytes", static_cast<double>(stats.bytes));
  metrics_.set("store_free_bytes", static_cast<double>(stats.free_bytes));
  const auto age = stats.oldest ? timeline_.now() - *stats.oldest : std::chrono::microseconds(0);
  metrics_.set("queue_oldest_age_seconds", std::chrono::duration<double>(age).count());
}

asio::awaitable<std::string> Relay::metrics_text() {
  auto stats = co_await store_->stats();
  if (stats) update_queue_metrics(*stats);
  co_return metrics_.text();
}

asio::awaitable<std::string> Relay::status_json() {
  Fields fields;
  fields.add("schema", kAdminSchema)
      .add("version", HOLDFAST_VERSION)
      .add("hostname", settings_.current()->hostname);
  Fields listening;
  for (const auto& listener : listeners_) {
    listening.add(listener->address().text(), std::uint64_t{listener->connections()});
  }
  fields.add("connections", listening);
  auto stats = co_await store_->stats();
  if (stats) {
    Fields queue;
    queue.add("messages", stats->messages).add("queued", stats->recipients_queued);
    queue.add("deferred", stats->recipients_deferred).add("held", stats->recipients_held);
    queue.add("damaged", stats->damaged).add("bytes", stats->bytes);
    queue.add("oldest", stats->oldest ? rfc3339(*stats->oldest) : std::string());
    fields.add("queue", queue).add("free_bytes", stats->free_bytes);
  } else {
    fields.add("queue_error", stats.error().text());
  }
  fields.add("in_hand", std::uint64_t{scheduler_->in_hand()});
  fields.add("outgoing_connections", std::uint64_t{budget_.open_in_all()});
  fields.add("dnssec_validating", validating_.load());
  co_return "{" + fields.json() + "}";
}

void Relay::note_traffic() {
  double accepted = 0, delivered = 0;
  for (const auto& one : metrics_.samples("messages_accepted_total")) accepted += one.value;
  for (const auto& one : metrics_.samples("delivery_attempts_total")) {
    if (one.labels.at("result") == "delivered") delivered += one.value;
  }
  traffic_.note(clock_.now(), static_cast<std::uint64_t>(accepted), static_cast<std::uint64_t>(delivered));
}

// The page must answer at once, also when the resolver does not: it shows what was found last.
asio::awaitable<void> Relay::watch_state() {
  SteadyTime next_look{};
  bool awake = true;
  while (awake) {
    note_traffic();
    if (clock_.now() >= next_look) {
      resolver_fault_ = co_await resolver_fault();
      next_look = clock_.now() + kLookAtResolver;
    }
    const Duration pause = TrafficHistory::kEvery;
    awake = co_await sleep_for(clock_, pause);
  }
}

RelayFacts Relay::facts() {
  note_traffic();
  RelayFacts facts;
  facts.hostname = settings_.current()->hostname;
  facts.version = HOLDFAST_VERSION;
  facts.now = timeline_.now();
  facts.started = started_at_;
  facts.not_ready = faults();
  if (!resolver_fault_.empty()) facts.not_ready.push_back(resolver_fault_);
  for (const auto& listener : listeners_)
    facts.listeners.push_back({listener->address().text(), std::uint64_t{listener->connections()}});
  facts.outgoing = budget_.open_in_all();
  facts.validating = validating_.load();
  facts.traffic = traffic_.minutes(clock_.now());
  for (const auto& one : metrics_.samples("tls_sessions_total")) {
    facts.tls.push_back(
        {one.labels.at("policy"), one.labels.at("result_type"), static_cast<std::uint64_t>(one.value)});
  }
  return facts;
}

}  // namespace holdfast
