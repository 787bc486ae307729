// tests/crash_matrix/store_life.cc — one life of the store, told step by step, and the judge of what it left.
//
//   store_life prepare DIR   makes an empty store
//   store_life live DIR      lives in it, and says on standard output which step begins and which is done
//   store_life check DIR     reads that on standard input, recovers twice, and says what is wrong (exit 1)
//
// A step that is done must be there, one that did not begin must not, and one that was cut off must be there
// wholly or not at all (invariants 1, 3, 5, 6, 9, 10). run.py kills it at its system calls.
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

#include "queue/sqlite_store.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

// The same ids in every life.
class Counting final : public Random {
 public:
  std::uint64_t next() override { return value_ += 0x9e3779b97f4a7c15; }

 private:
  std::uint64_t value_ = 0;
};

asio::io_context& context() {
  static asio::io_context one(1);
  static const auto guard = asio::make_work_guard(one);
  return one;
}

template <class T>
T wait_for(asio::awaitable<T> task) {
  return run(context(), std::move(task));
}

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

std::string body_of(char name) {
  const std::size_t size = name == 'B' || name == 'D' ? 200'000 : 2'000;
  return std::string("Subject: ") + name + "\r\n\r\n" + std::string(size, name) + "\r\n";
}

// Not write(2): that one is the store's, and run.py counts it.
void say(const std::string& line) {
  std::string text = line + "\n";
  iovec part{text.data(), text.size()};
  if (::writev(1, &part, 1) < 0) ::_exit(3);
}

// To whom a bounce goes.
std::string told_of(char bounce) { return bounce == 'X' ? "sender@source.example" : "other@source.example"; }

class Life {
 public:
  explicit Life(std::filesystem::path directory) : directory_(std::move(directory)) {
    for (const char name : {'A', 'B', 'C', 'D', 'X', 'Y'}) ids_[name] = QueueId::make(clock_.wall(), random_);
  }

  Result<void> open() {
    auto opened = SqliteStore::open(options(directory_), clock_, log_, metrics_);
    if (!opened) return opened.error();
    store_ = std::move(*opened);
    return {};
  }
  void close() {
    if (store_) wait_for(store_->close());
    store_.reset();
  }
  Store& store() { return *store_; }
  FakeClock& clock() { return clock_; }
  QueueId id(char name) const { return ids_.at(name); }
  const std::filesystem::path& directory() const { return directory_; }

  Accept message(char name, const std::vector<std::string>& to) {
    Accept a;
    a.meta.id = ids_.at(name);
    a.meta.accepted = a.meta.release = clock_.wall();
    a.meta.expires = clock_.wall() + 24h;
    a.meta.reverse_path = make_mailbox("sender", "source.example");
    a.prefix = "Received: from client\r\n";
    for (const auto& address : to) a.recipients.push_back({Mailbox::parse(address).value(), {}});
    return a;
  }
  Result<Accept> staged(char name, const std::vector<std::string>& to) {
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
  // Tells of the end of `claim`, with it.
  Result<void> end_with_bounce(const Claim& claim, RecipientState state, char bounce, char original) {
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
  Result<void> apply(Batch batch) {
    auto applied = wait_for(store_->apply(std::move(batch)));
    if (!applied) return applied.error();
    if (applied->refused || !applied->stale.empty()) return Error(StoreError::rejected, "stale");
    return {};
  }
  Result<void> take_in(char name, const std::vector<std::string>& to, const std::string& key = "") {
    auto accept = staged(name, to);
    if (!accept) return accept.error();
    accept->meta.idempotency_key = key;
    Batch batch;
    batch.accept.push_back(std::move(*accept));
    return apply(std::move(batch));
  }
  std::map<std::string, Claim> claim(const std::string& domain) {
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

 private:
  std::filesystem::path directory_;
  FakeClock clock_;
  Counting random_;
  CapturingLog log_;
  CapturingMetrics metrics_;
  std::map<char, QueueId> ids_;
  std::unique_ptr<SqliteStore> store_;
};

int live(Life& life) {
  const auto step = [](const std::string& name, auto&& act) {
    say("begin " + name);
    const Result<void> done = act();
    say(done ? "done " + name : "refused " + name + " " + done.error().text());
    return static_cast<bool>(done);
  };
  if (!step("open", [&] { return life.open(); })) return 0;
  step("accept-A", [&] { return life.take_in('A', {"a1@one.example", "a2@one.example"}); });
  step("accept-B", [&] { return life.take_in('B', {"b1@one.example", "b2@two.example"}); });
  auto one = life.claim("one.example");
  if (one.contains("a1@one.example")) {
    step("deliver-a1", [&] {
      Batch batch;
      const Claim& c = one["a1@one.example"];
      batch.complete.push_back({c.recipients[0].id, c.token, RecipientState::delivered, "250 ok", "mx"});
      return life.apply(std::move(batch));
    });
  }
  if (one.contains("a2@one.example")) {
    step("defer-a2", [&] {
      Batch batch;
      Defer defer;
      defer.recipient = one["a2@one.example"].recipients[0].id;
      defer.token = one["a2@one.example"].token;
      defer.next_attempt = life.clock().wall() + 5min;
      defer.reason = "451 4.3.0 later";
      batch.defer.push_back(defer);
      batch.history.push_back({life.id('A'), life.clock().wall(), "deferred", "{}"});
      return life.apply(std::move(batch));
    });
  }
  if (one.contains("b1@one.example"))
    step("bounce-b1",
         [&] { return life.end_with_bounce(one["b1@one.example"], RecipientState::bounced, 'X', 'B'); });
  step("accept-C", [&] { return life.take_in('C', {"c1@three.example"}, "key of C"); });
  if (auto three = life.claim("three.example"); three.contains("c1@three.example"))
    step("expire-c1",
         [&] { return life.end_with_bounce(three["c1@three.example"], RecipientState::expired, 'Y', 'C'); });
  (void)life.staged('D', {});  // a client that went away before the end
  auto two = life.claim("two.example");
  if (two.contains("b2@two.example")) {
    step("hold-b2", [&] {
      Batch batch;
      batch.changes.push_back({OperatorChange::What::hold, {two["b2@two.example"].recipients[0].id}, ""});
      return life.apply(std::move(batch));
    });
  }
  life.close();
  say("done close");
  if (!step("recover", [&] { return life.open(); })) return 0;
  auto source = life.claim("source.example");
  if (source.contains(told_of('X'))) {
    step("deliver-X", [&] {
      Batch batch;
      const Claim& c = source[told_of('X')];
      batch.complete.push_back({c.recipients[0].id, c.token, RecipientState::delivered, "250 ok", "mx"});
      return life.apply(std::move(batch));
    });
  }
  life.close();
  say("done close again");
  return 0;
}

struct Row {
  RecipientState state = RecipientState::queued;
  unsigned attempts = 0;
  bool operator==(const Row&) const = default;
};
using Picture = std::map<std::string, Row>;  // by message and address

class Judge {
 public:
  explicit Judge(Life& life) : life_(life) {
    for (std::string line; std::getline(std::cin, line);) {
      const auto space = line.find(' ');
      const std::string name = line.substr(space + 1, line.find(' ', space + 1) - space - 1);
      if (line.starts_with("begin")) begun_.insert(name);
      if (line.starts_with("done")) done_.insert(name);
    }
  }

  int judge() {
    const Picture first = look();
    judge_steps(first);
    judge_bodies(first);
    life_.close();
    const Picture second = look();
    expect(first == second, "a second recovery finds something else than the first");
    everything_leaves();
    for (const auto& text : wrong_) std::cout << text << "\n";
    return wrong_.empty() ? 0 : 1;
  }

 private:
  void expect(bool holds, const std::string& otherwise) {
    if (!holds) wrong_.push_back(otherwise);
  }

  Picture look() {
    auto opened = life_.open();
    if (!opened) {
      std::cout << "recovery: " << opened.error().text() << "\n";
      std::exit(1);
    }
    Picture picture;
    for (int state = 0; state <= static_cast<int>(RecipientState::damaged); ++state) {
      QueueFilter filter;
      filter.state = static_cast<RecipientState>(state);
      const auto rows = wait_for(life_.store().list(filter)).value();
      for (const auto& row : rows) {
        const bool fresh =
            picture.emplace(row.meta->id.text() + " " + row.to, Row{row.state, row.attempts}).second;
        expect(fresh, row.to + " is there twice");
      }
    }
    return picture;
  }

  const Row* find(const Picture& picture, char message, const std::string& to) const {
    const auto found = picture.find(life_.id(message).text() + " " + to);
    return found == picture.end() ? nullptr : &found->second;
  }

  // The parts of a step are there together, and as far as the step went.
  void step(const std::string& name, std::initializer_list<bool> parts) {
    bool all = true, any = false;
    for (const bool part : parts) {
      all = all && part;
      any = any || part;
    }
    expect(all == any, name + " is half there");
    if (done_.contains(name)) expect(all, name + " was acknowledged and is lost");
    if (!begun_.contains(name)) expect(!any, name + " is there and never began");
  }

  void judge_steps(const Picture& p) {
    const Row *a1 = find(p, 'A', "a1@one.example"), *a2 = find(p, 'A', "a2@one.example"),
              *b1 = find(p, 'B', "b1@one.example"), *b2 = find(p, 'B', "b2@two.example"),
              *c1 = find(p, 'C', "c1@three.example"), *x = find(p, 'X', told_of('X')),
              *y = find(p, 'Y', told_of('Y'));
    const auto is = [](const Row* row, RecipientState state) {
      return row != nullptr && row->state == state;
    };
    step("accept-A", {a1 != nullptr, a2 != nullptr});
    step("accept-B", {b1 != nullptr, b2 != nullptr});
    step("accept-C", {c1 != nullptr});
    step("deliver-a1", {is(a1, RecipientState::delivered)});
    const auto history = wait_for(life_.store().history(life_.id('A'))).value();
    step("defer-a2", {a2 != nullptr && a2->attempts == 1, history.size() == 1});
    step("bounce-b1", {is(b1, RecipientState::bounced), x != nullptr});
    step("expire-c1", {is(c1, RecipientState::expired), y != nullptr});
    step("hold-b2", {is(b2, RecipientState::held)});
    step("deliver-X", {is(x, RecipientState::delivered)});
    for (const auto& [name, row] : p) expect(row.state != RecipientState::damaged, name + " is damaged");
  }

  std::string content(char name) {
    auto body = wait_for(life_.store().open_body(life_.id(name)));
    if (!body) return body.error().text();
    std::string all;
    for (;;) {
      auto chunk = wait_for((*body)->next());
      if (!chunk) return chunk.error().text();
      if (chunk->empty()) return all;
      all += *chunk;
    }
  }

  // What is visible has its whole body, and nothing else has a file.
  void judge_bodies(const Picture& p) {
    const std::string prefix = "Received: from client\r\n";
    const std::pair<char, char> messages[] = {{'A', 'A'}, {'B', 'B'}, {'C', 'C'}, {'X', 'B'}, {'Y', 'C'}};
    std::size_t large = 0;
    for (const auto& [name, original] : messages) {
      bool alive = false;
      for (const auto& [key, row] : p)
        alive = alive || (key.starts_with(life_.id(name).text()) && !has_ended(row.state));
      if (!alive) continue;
      if (original == 'B') large = 1;
      const std::string wanted = prefix + body_of(original) + (name == original ? "" : "--end--\r\n");
      const std::string found = content(name);
      expect(found == wanted, std::string("the content of ") + name + ": " + found.substr(0, 100));
    }
    expect(files() == large, std::to_string(files()) + " body files, " + std::to_string(large) + " wanted");
  }

  std::size_t files() const {
    std::size_t n = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(life_.directory() / "bodies"))
      n += entry.is_regular_file() ? 1 : 0;
    return n;
  }

  // The queue still works: all that waits is claimed once, ends, and leaves nothing behind.
  void everything_leaves() {
    life_.clock().advance(1h);
    QueueFilter held;
    held.state = RecipientState::held;
    Batch release;
    for (const auto& row : wait_for(life_.store().list(held)).value())
      release.changes.push_back({OperatorChange::What::release, {row.recipient}, ""});
    if (!release.changes.empty())
      expect(static_cast<bool>(life_.apply(std::move(release))), "releasing fails");
    for (const char* domain : {"one.example", "two.example", "three.example", "source.example"}) {
      auto claims = wait_for(life_.store().claim({domain}, 100, life_.clock().wall(), "judge", 10min));
      if (!claims) {
        expect(false, std::string("claiming ") + domain + ": " + claims.error().text());
        continue;
      }
      for (const Claim& c : *claims) {
        Batch batch;
        for (const auto& r : c.recipients)
          batch.complete.push_back({r.id, c.token, RecipientState::delivered, "250 ok", "mx"});
        expect(static_cast<bool>(life_.apply(std::move(batch))), "completing fails");
      }
    }
    const auto stats = wait_for(life_.store().stats()).value();
    expect(stats.messages == 0 && stats.bytes == 0, std::to_string(stats.messages) + " messages are left");
    life_.close();
    expect(files() == 0, "body files are left behind");
  }

  Life& life_;
  std::set<std::string> begun_, done_;
  std::vector<std::string> wrong_;
};

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode != "prepare" && mode != "live" && mode != "check") {
    std::fputs("usage: store_life prepare|live|check DIR\n", stderr);
    return 64;
  }
  holdfast::Life life(argv[2]);
  if (mode == "prepare") {
    const bool made = static_cast<bool>(life.open());
    life.close();
    return made ? 0 : 1;
  }
  return mode == "live" ? holdfast::live(life) : holdfast::Judge(life).judge();
}
