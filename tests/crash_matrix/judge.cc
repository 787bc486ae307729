#include "tests/crash_matrix/judge.h"

namespace holdfast {

using namespace std::chrono_literals;

Judge::Judge(Life& life, const std::vector<std::string>& said) : life_(life) {
  for (const auto& line : said) {
    const auto space = line.find(' ');
    const std::string name = line.substr(space + 1, line.find(' ', space + 1) - space - 1);
    if (line.starts_with("begin")) begun_.insert(name);
    if (line.starts_with("done")) done_.insert(name);
    judge_failed_syncs(line, name);
  }
}

// Once a sync has failed, that process acknowledges nothing more (invariant 4). A sync that found no room is
// no such failure: what it was to keep is refused and removed.
void Judge::judge_failed_syncs(const std::string& line, const std::string& name) {
  if (name == "recover") sync_failed_ = false;  // another life
  const bool of_body =
      line.find("syncing") != std::string::npos && line.find("Input/output") != std::string::npos;
  if (line.starts_with("refused") &&
      (of_body || line.find("nothing more is acknowledged") != std::string::npos))
    sync_failed_ = true;
  const bool promises = name != "open" && name != "checkpoint" && name != "close" && name != "all";
  expect(!line.starts_with("done") || !promises || !sync_failed_,
         name + " was acknowledged though a sync had failed");
}

std::vector<std::string> Judge::judge() {
  Picture first, second;
  if (!look(first)) return wrong_;
  judge_steps(first);
  judge_bodies(first);
  life_.close();
  if (!look(second)) return wrong_;
  expect(first == second, "a second recovery finds something else than the first");
  judge_quota();
  everything_leaves();
  return wrong_;
}

void Judge::expect(bool holds, const std::string& otherwise) {
  if (!holds) wrong_.push_back(otherwise);
}

bool Judge::look(Picture& picture) {
  auto opened = life_.open();
  expect(static_cast<bool>(opened), "recovery: " + (opened ? "" : opened.error().text()));
  if (!opened) return false;
  for (int state = 0; state <= static_cast<int>(RecipientState::damaged); ++state) {
    QueueFilter filter;
    filter.state = static_cast<RecipientState>(state);
    const auto rows = wait_for(life_.store().list(filter));
    expect(static_cast<bool>(rows), "listing: " + (rows ? "" : rows.error().text()));
    if (!rows) return false;
    for (const auto& row : *rows) {
      const bool fresh =
          picture.emplace(row.meta->id.text() + " " + row.to, Row{row.state, row.attempts}).second;
      expect(fresh, row.to + " is there twice");
    }
  }
  return true;
}

const Judge::Row* Judge::find(const Picture& picture, char message, const std::string& to) const {
  const auto found = picture.find(life_.id(message).text() + " " + to);
  return found == picture.end() ? nullptr : &found->second;
}

// The parts of a step are there together, and as far as the step went.
void Judge::step(const std::string& name, std::initializer_list<bool> parts) {
  bool all = true, any = false;
  for (const bool part : parts) {
    all = all && part;
    any = any || part;
  }
  expect(all == any, name + " is half there");
  if (done_.contains(name)) expect(all, name + " was acknowledged and is lost");
  if (!begun_.contains(name)) expect(!any, name + " is there and never began");
}

void Judge::judge_steps(const Picture& p) {
  const Row *a1 = find(p, 'A', "a1@one.example"), *a2 = find(p, 'A', "a2@one.example"),
            *b1 = find(p, 'B', "b1@one.example"), *b2 = find(p, 'B', "b2@two.example"),
            *c1 = find(p, 'C', "c1@three.example"), *x = find(p, 'X', told_of('X')),
            *y = find(p, 'Y', told_of('Y')), *e1 = find(p, 'E', "e1@two.example");
  const auto is = [](const Row* row, RecipientState state) { return row != nullptr && row->state == state; };
  step("accept-A", {a1 != nullptr, a2 != nullptr});
  step("accept-B", {b1 != nullptr, b2 != nullptr});
  step("accept-C", {c1 != nullptr});
  step("accept-E", {e1 != nullptr});
  step("deliver-a1", {is(a1, RecipientState::delivered)});
  const auto history = wait_for(life_.store().history(life_.id('A')));
  expect(static_cast<bool>(history), "history: " + (history ? "" : history.error().text()));
  step("defer-a2", {a2 != nullptr && a2->attempts == 1, history && history->size() == 1});
  step("bounce-b1", {is(b1, RecipientState::bounced), x != nullptr});
  step("expire-c1", {is(c1, RecipientState::expired), y != nullptr});
  step("hold-b2", {is(b2, RecipientState::held)});
  step("deliver-X", {is(x, RecipientState::delivered)});
  for (const auto& [name, row] : p) expect(row.state != RecipientState::damaged, name + " is damaged");
}

std::string Judge::content(char name) {
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
void Judge::judge_bodies(const Picture& p) {
  const std::pair<char, char> messages[] = {{'A', 'A'}, {'B', 'B'}, {'C', 'C'},
                                            {'X', 'B'}, {'Y', 'C'}, {'E', 'E'}};
  std::size_t large = 0;
  for (const auto& [name, original] : messages) {
    bool alive = false;
    for (const auto& [key, row] : p)
      alive = alive || (key.starts_with(life_.id(name).text()) && !has_ended(row.state));
    if (!alive) continue;
    if (original == 'B') large = 1;
    const std::string wanted = prefix_of_all() + body_of(original) + (name == original ? "" : "--end--\r\n");
    const std::string found = content(name);
    expect(found == wanted, std::string("the content of ") + name + ": " + found.substr(0, 100));
  }
  expect(files() == large, std::to_string(files()) + " body files, " + std::to_string(large) + " wanted");
}

std::size_t Judge::files() const {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(life_.directory() / "bodies"))
    n += entry.is_regular_file() ? 1 : 0;
  return n;
}

// Never more was taken than was asked for, and what was taken before an orderly end stays taken.
void Judge::judge_quota() {
  if (done_.contains("close")) {
    const auto more = life_.take_quota(3);
    expect(more && !*more, "a quota was given back by a restart");
  }
  const auto rest = life_.take_quota(2);
  expect(rest && *rest, "a quota lost more than was taken");
}

// The queue still works: all that waits is claimed once, ends, and leaves nothing behind.
void Judge::everything_leaves() {
  life_.clock().advance(1h);
  QueueFilter held;
  held.state = RecipientState::held;
  Batch release;
  const auto rows = wait_for(life_.store().list(held));
  expect(static_cast<bool>(rows), "listing fails");
  if (!rows) return;
  for (const auto& row : *rows)
    release.changes.push_back({OperatorChange::What::release, {row.recipient}, ""});
  if (!release.changes.empty()) expect(static_cast<bool>(life_.apply(std::move(release))), "releasing fails");
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
  const auto stats = wait_for(life_.store().stats());
  const bool empty = stats && stats->messages == 0 && stats->bytes == 0;
  expect(empty, (stats ? std::to_string(stats->messages) + " messages" : stats.error().text()) + " are left");
  life_.close();
  expect(files() == 0, "body files are left behind");
}

}  // namespace holdfast
