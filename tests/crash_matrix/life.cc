#include "tests/crash_matrix/life.h"

#include <sqlite3.h>

#include "queue/sqlite_schema.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

SqliteStoreOptions options(const std::filesystem::path& directory) {
  SqliteStoreOptions o;
  o.data_dir = directory;
  o.inline_limit = 64 << 10;
  o.min_free_space = {0.0, 1};
  o.history = 24h * 7;
  o.history_size = std::uint64_t{1} << 30;
  o.header_size = 256 << 10;
  return o;
}

// Says what begins and how it ends.
class Teller {
 public:
  explicit Teller(const Say& say) : say_(say) {}

  template <class Act>
  bool step(const std::string& name, Act act) {
    say_("begin " + name);
    const Result<void> done = act();
    say_(done ? "done " + name : "refused " + name + " " + done.error().text());
    return static_cast<bool>(done);
  }

 private:
  const Say& say_;
};

Batch completion(const Claim& c) {
  Batch batch;
  batch.complete.push_back({c.recipients[0].id, c.token, RecipientState::delivered, "250 ok", "mx"});
  return batch;
}

Batch deferral(const Life& life, const Claim& claim, WallTime now) {
  Batch batch;
  Defer defer;
  defer.recipient = claim.recipients[0].id;
  defer.token = claim.token;
  defer.next_attempt = now + 5min;
  defer.reason = "451 4.3.0 later";
  batch.defer.push_back(defer);
  batch.history.push_back({life.id('A'), now, "deferred", "{}"});
  return batch;
}

}  // namespace

asio::io_context& life_context() {
  static asio::io_context one(1);
  static const auto guard = asio::make_work_guard(one);
  return one;
}

std::string body_of(char name) {
  const std::size_t size = name == 'B' || name == 'D' ? 200'000 : 2'000;
  return std::string("Subject: ") + name + "\r\n\r\n" + std::string(size, name) + "\r\n";
}

std::string told_of(char bounce) { return bounce == 'X' ? "sender@source.example" : "other@source.example"; }

const std::string& prefix_of_all() {
  static const std::string prefix = "Received: from client\r\n";
  return prefix;
}

Life::Life(std::filesystem::path directory) : directory_(std::move(directory)) {
  for (const char name : {'A', 'B', 'C', 'D', 'X', 'Y', 'E'})
    ids_[name] = QueueId::make(clock_.wall(), random_);
}

Result<void> Life::open() {
  auto opened = SqliteStore::open(options(directory_), clock_, log_, metrics_);
  if (!opened) return opened.error();
  store_ = std::move(*opened);
  return {};
}

void Life::close() {
  if (store_) wait_for(store_->close());
  store_.reset();
}

Result<void> Life::close_in_order() {
  close();
  if (log_.holds("housekeeping of the queue") || log_.holds("failed for good"))
    return Error(StoreError::io, "the quotas may not be kept");
  return {};
}

Accept Life::message(char name, const std::vector<std::string>& to) {
  Accept a;
  a.meta.id = ids_.at(name);
  a.meta.accepted = a.meta.release = clock_.wall();
  a.meta.expires = clock_.wall() + 24h;
  a.meta.reverse_path = make_mailbox("sender", "source.example");
  a.prefix = prefix_of_all();
  for (const auto& address : to) a.recipients.push_back({Mailbox::parse(address).value(), {}});
  return a;
}

Result<Accept> Life::staged(char name, const std::vector<std::string>& to) {
  Accept a = message(name, to);
  a.body = store_->stage_body();
  const std::string body = body_of(name);
  for (std::size_t at = 0; at < body.size(); at += 50'000) {
    auto written = wait_for(a.body->write(std::string_view(body).substr(at, 50'000)));
    if (!written) return written.error();
  }
  auto finished = wait_for(a.body->finish());
  if (!finished) return finished.error();
  return a;
}

Result<void> Life::take_in(char name, const std::vector<std::string>& to, const std::string& key) {
  auto accept = staged(name, to);
  if (!accept) return accept.error();
  accept->meta.idempotency_key = key;
  Batch batch;
  batch.accept.push_back(std::move(*accept));
  return apply(std::move(batch));
}

Result<void> Life::end_with_bounce(const Claim& claim, RecipientState state, char bounce, char original) {
  Batch batch;
  Accept a = message(bounce, {told_of(bounce)});
  a.meta.reverse_path = {};
  a.meta.is_bounce = true;
  a.body_of = ids_.at(original);
  a.suffix = "--end--\r\n";
  batch.accept.push_back(std::move(a));
  for (const auto& r : claim.recipients)
    batch.complete.push_back({r.id, claim.token, state, "550 5.1.1 no", "mx"});
  batch.refuse_if_stale = true;
  return apply(std::move(batch));
}

Result<void> Life::apply(Batch batch) {
  auto applied = wait_for(store_->apply(std::move(batch)));
  if (!applied) return applied.error();
  if (applied->refused || !applied->stale.empty()) return Error(StoreError::rejected, "stale");
  return {};
}

std::map<std::string, Claim> Life::claim(const std::string& domain) {
  auto claims = wait_for(store_->claim({domain}, 100, clock_.wall(), "life", 10min));
  std::map<std::string, Claim> by_address;
  if (!claims) return by_address;
  for (const Claim& c : *claims) {
    for (const auto& r : c.recipients) {
      Claim one = c;
      one.recipients = {r};
      by_address[r.address.text()] = std::move(one);
    }
  }
  return by_address;
}

Result<bool> Life::take_quota(std::uint64_t n) { return wait_for(store_->take("user", kLifeQuota, n)); }

Result<void> Life::checkpoint() {
  auto db = open_queue_database(directory_ / "queue.db", nullptr);
  if (!db) return db.error();
  const int code =
      sqlite3_wal_checkpoint_v2(db->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK) return Error(StoreError::io, sqlite3_errstr(code));
  return {};
}

void live(Life& life, const Say& say) {
  Teller teller(say);
  if (!teller.step("open", [&] { return life.open(); })) return;
  teller.step("accept-A", [&] { return life.take_in('A', {"a1@one.example", "a2@one.example"}); });
  teller.step("accept-B", [&] { return life.take_in('B', {"b1@one.example", "b2@two.example"}); });
  auto one = life.claim("one.example");
  if (one.contains("a1@one.example"))
    teller.step("deliver-a1", [&] { return life.apply(completion(one["a1@one.example"])); });
  if (one.contains("a2@one.example"))
    teller.step("defer-a2",
                [&] { return life.apply(deferral(life, one["a2@one.example"], life.clock().wall())); });
  if (one.contains("b1@one.example"))
    teller.step("bounce-b1", [&] {
      return life.end_with_bounce(one["b1@one.example"], RecipientState::bounced, 'X', 'B');
    });
  // From here on the write-ahead log starts over, on top of what is in it.
  if (!teller.step("checkpoint", [&] { return life.checkpoint(); })) {
    life.close();  // as the caretaker would have it: a log that cannot be synced is the end
    return;
  }
  teller.step("accept-C", [&] { return life.take_in('C', {"c1@three.example"}, "key of C"); });
  if (auto three = life.claim("three.example"); three.contains("c1@three.example"))
    teller.step("expire-c1", [&] {
      return life.end_with_bounce(three["c1@three.example"], RecipientState::expired, 'Y', 'C');
    });
  (void)life.staged('D', {});  // a client that went away before the end
  auto two = life.claim("two.example");
  if (two.contains("b2@two.example"))
    teller.step("hold-b2", [&] {
      Batch batch;
      batch.changes.push_back({OperatorChange::What::hold, {two["b2@two.example"].recipients[0].id}, ""});
      return life.apply(std::move(batch));
    });
  (void)life.take_quota(3);
  teller.step("close", [&] { return life.close_in_order(); });
  if (!teller.step("recover", [&] { return life.open(); })) return;
  auto source = life.claim("source.example");
  if (source.contains(told_of('X')))
    teller.step("deliver-X", [&] { return life.apply(completion(source[told_of('X')])); });
  life.close();
  say("done all");
}

void live_on(Life& life, const Say& say) {
  Teller teller(say);
  if (!teller.step("open-once-more", [&] { return life.open(); })) return;
  teller.step("accept-E", [&] { return life.take_in('E', {"e1@two.example"}); });
  life.close();
}

}  // namespace holdfast
