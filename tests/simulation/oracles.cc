#include "tests/simulation/oracles.h"

#include <algorithm>

#include "tlsrpt/received_report.h"

namespace holdfast::simulation {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// From the world's answer to the end of data until its record is surely on disk.
constexpr Duration kRecording = seconds(20);

// Recipients that a notification says have failed.
std::vector<std::string> failed_in(const std::string& notice) {
  std::vector<std::string> out;
  const std::string label = "Final-Recipient: rfc822; ";
  for (auto at = notice.find(label); at != std::string::npos; at = notice.find(label, at + 1)) {
    const auto end = notice.find("\r\n\r\n", at);
    const std::string block = notice.substr(at, end - at);
    if (block.find("Action: failed") != std::string::npos)
      out.push_back(block.substr(label.size(), block.find("\r\n") - label.size()));
  }
  return out;
}

class Judge {
 public:
  Judge(const World& world, const Heard& heard, const std::vector<QueueRow>& rows)
      : world_(world), seen_(world.seen), heard_(heard), rows_(rows), truth_(world) {
    verdicts_.failures = seen_.failures;
    for (const auto& passage : seen_.passages) {
      if (passage.end != Passage::End::taken && passage.end != Passage::End::in_doubt) continue;
      for (const auto& to : passage.to) copies_[to].push_back(&passage);
    }
  }

  Verdicts judge() {
    queue_is_empty();
    for (const auto& [number, letter] : seen_.letters) judge_letter(letter);
    for (const auto& [to, letter] : owners_) judge_recipient(to, *letter);
    judge_passages();
    judge_notices();
    judge_schedule();
    judge_expiry();
    judge_reports();
    judge_sessions();
    return std::move(verdicts_);
  }

 private:
  void fail(const std::string& what) {
    if (verdicts_.failures.size() < 30) verdicts_.failures.push_back(what);
  }

  void queue_is_empty() {
    for (const auto& row : rows_) {
      states_[row.to].push_back(row.state);
      if (row.state == RecipientState::damaged) fail("invariant 10: a row is damaged: " + row.to);
      if (!has_ended(row.state))
        fail("invariant 6: still in the queue when all is calm: " + row.to + " (" + row.reason + ")");
    }
  }

  void judge_letter(const Letter& letter) {
    ++verdicts_.letters;
    if (letter.outcome == Letter::Outcome::accepted) ++verdicts_.accepted;
    for (const auto& to : letter.to) {
      const bool taken = std::find(letter.taken.begin(), letter.taken.end(), to) != letter.taken.end();
      const bool nothing_given =
          letter.outcome == Letter::Outcome::unsent || letter.outcome == Letter::Outcome::refused || !taken;
      if (nothing_given && (copies_.contains(to) || states_.contains(to)))
        fail("nothing was accepted for " + to + ", yet it is in the queue or was delivered");
      if (taken && !nothing_given) owners_[to] = &letter;
    }
  }

  // Lost between the world's answer and the record of it.
  bool is_doubtful(const Passage& passage) const {
    if (passage.end == Passage::End::in_doubt) return true;
    return std::any_of(seen_.crashes.begin(), seen_.crashes.end(), [&](const auto& crash) {
      return crash.second == passage.life && crash.first >= passage.at &&
             crash.first - passage.ended < kRecording;
    });
  }

  void judge_recipient(const std::string& to, const Letter& letter) {
    ++verdicts_.recipients;
    const auto found = states_.find(to);
    const std::size_t rows = found == states_.end() ? 0 : found->second.size();
    if (letter.outcome == Letter::Outcome::accepted && rows == 0) {
      fail("invariant 1: accepted with 250, but the store does not know it: " + to);
      return;
    }
    if (rows == 0) return;
    if (rows > 1) fail("invariant 6: " + std::to_string(rows) + " rows of " + to);
    const RecipientState state = found->second.front();
    const auto& copies = copies_[to];
    const auto sure =
        std::count_if(copies.begin(), copies.end(), [&](auto* one) { return !is_doubtful(*one); });
    verdicts_.doubts += copies.size() - static_cast<std::size_t>(sure);
    if (sure > 1) fail("invariant 7: " + std::to_string(sure) + " copies of " + to + " without a doubt");
    // Once it is surely taken, nothing goes any more.
    for (std::size_t i = 0; i + 1 < copies.size(); ++i)
      if (!is_doubtful(*copies[i])) fail("invariant 8: " + to + " was sent again after it was taken");
    if (state == RecipientState::delivered) {
      ++verdicts_.delivered;
      if (copies.empty()) fail("invariant 6: " + to + " is recorded as delivered and was never sent");
    } else {
      if (state != RecipientState::removed) ++verdicts_.bounced;
      // The operator's word wins over an attempt that is under way.
      if (sure > 0 && has_ended(state) && state != RecipientState::removed)
        fail("invariant 6: " + to + " was taken, and yet ended as " + name(state));
    }
    if (state == RecipientState::removed && !seen_.operator_removed.contains(to))
      fail("invariant 6: " + to + " was removed by nobody");
    const auto told = heard_.recipients.find(to);
    std::size_t ends = 0;
    if (told != heard_.recipients.end())
      ends =
          static_cast<std::size_t>(std::count_if(told->second.lines.begin(), told->second.lines.end(),
                                                 [](const auto& line) { return line.event != "deferred"; }));
    if (ends > 1) fail("invariant 6: the log tells of " + std::to_string(ends) + " ends of " + to);
    judge_content(to, letter);
  }

  // Invariant 27, and that nothing but header fields is put before the message.
  void judge_content(const std::string& to, const Letter& letter) {
    for (const Passage* copy : copies_[to])
      if (!copy->content.ends_with(letter.content))
        fail("invariant 27: the content of " + to + " was changed");
  }

  void judge_passages() {
    for (const auto& passage : seen_.passages) {
      const bool is_report = passage.content.find("TLS-Report-Domain:") != std::string::npos;
      if (is_report) continue;  // RFC 8460 section 3: delivered even where the policy fails
      bool strict = false;
      const std::string wrong = truth_.wrong_with(passage, strict);
      if (strict) ++verdicts_.strict_passages;
      if (!wrong.empty())
        fail(wrong + ": " + passage.host + " got <" + passage.from + "> at " + at_text(passage.at));
      const auto letter = passage.to.empty() ? owners_.end() : owners_.find(passage.to.front());
      if (letter != owners_.end() && letter->second->requiretls) judge_requiretls(passage);
      for (const auto& to : passage.to) {
        const auto owner = owners_.find(to);
        if (owner != owners_.end() && letter != owners_.end() &&
            owner->second->requiretls != letter->second->requiretls)
          fail("invariant 25: recipients of another TLS class on one transaction: " + to);
      }
    }
    for (const auto& words : seen_.in_clear)
      if (truth_.forbids_clear(words.domain, words.host, words.at))
        fail("invariant 13: in clear to " + words.host + ": " + words.words + " at " + at_text(words.at));
  }

  void judge_requiretls(const Passage& passage) {
    const bool asked = passage.mail_command.find("REQUIRETLS") != std::string::npos;
    if (!passage.tls || !passage.requiretls_offered || !asked)
      fail("invariant 25: REQUIRETLS mail to " + passage.host + " without it");
    if (passage.shown != Shown::good && truth_dane_key(passage) == false)
      fail("invariant 25: REQUIRETLS mail to an unauthenticated host: " + passage.host);
  }
  bool truth_dane_key(const Passage& passage) const {
    const auto found = seen_.demands.find(passage.host);
    if (found == seen_.demands.end()) return false;
    return std::any_of(found->second.begin(), found->second.end(), [&](const Demands& one) {
      return std::find(one.tlsa.begin(), one.tlsa.end(), std::make_pair(passage.shown, passage.key)) !=
             one.tlsa.end();
    });
  }

  void judge_notices() {
    std::map<std::string, std::vector<const Passage*>> told;
    for (const auto& passage : seen_.passages) {
      if (passage.content.find("report-type=delivery-status") == std::string::npos) continue;
      if (passage.end != Passage::End::taken && passage.end != Passage::End::in_doubt) continue;
      ++verdicts_.notices;
      if (!passage.from.empty()) fail("invariant 33: a notification has a sender: " + passage.from);
      for (const auto& to : failed_in(passage.content)) told[to].push_back(&passage);
      for (const auto& [number, letter] : seen_.letters)
        if (letter.requiretls &&
            passage.content.find("BODY-" + std::to_string(number) + "-BODY") != std::string::npos)
          fail("invariant 26: a REQUIRETLS bounce holds the body of letter " + std::to_string(number));
    }
    for (const auto& [to, letter] : owners_) {
      const auto found = states_.find(to);
      if (found == states_.end()) continue;
      const RecipientState state = found->second.front();
      const bool failed = state == RecipientState::bounced || state == RecipientState::expired;
      const bool wanted = failed && !letter->from.empty() && !letter->notify_never;
      const auto& notices = told[to];
      const auto sure =
          std::count_if(notices.begin(), notices.end(), [&](auto* one) { return !is_doubtful(*one); });
      if (wanted && notices.empty()) fail("no notification tells that " + to + " failed");
      if (!wanted && !notices.empty()) fail("invariant 33: a notification that nobody may get, of " + to);
      if (sure > 1) fail("invariant 6: " + std::to_string(sure) + " notifications of " + to);
      for (const Passage* notice : notices)
        if (notice->to.size() != 1 || notice->to.front() != letter->from)
          fail("the notification of " + to + " went to another than its sender");
    }
  }

  // Nobody is tried before the time that the relay itself set, unless somebody hurried; and that time is as
  // far away as the schedule says, unless the message expires before.
  void judge_schedule() {
    const Duration least = kFirstRetry * 9 / 10 - minutes(2);  // the log may tell of an attempt a step late
    for (const auto& [to, told] : heard_.recipients) {
      const auto owner = owners_.find(to);
      if (owner == owners_.end()) continue;
      for (std::size_t i = 1; i < told.lines.size(); ++i) {
        const auto& before = told.lines[i - 1];
        const auto& now = told.lines[i];
        if (before.event != "deferred") continue;
        const bool hurried = std::any_of(seen_.hurried.begin(), seen_.hurried.end(), [&](SteadyTime at) {
          return at >= before.at - kRecording && at <= now.at;
        });
        const SteadyTime due = SteadyTime(seconds(before.next)) - truth_.wall_offset(before.at);
        if (!hurried && now.at < due - seconds(1))
          fail("the retry schedule: " + to + " was tried again before its time");
        const SteadyTime expires = owner->second->ended + seen_.expire;
        if (!hurried && now.event != "expired" && now.at - before.at < least && now.at < expires - minutes(2))
          fail("the retry schedule: " + to + " again after " +
               std::to_string(std::chrono::duration_cast<seconds>(now.at - before.at).count()) + " s");
      }
    }
  }

  // Invariant 12: jumps of the wall clock while the relay runs expire nothing early. What a restart makes of
  // them is another matter: stored times are by the wall.
  void judge_expiry() {
    for (const auto& [to, told] : heard_.recipients) {
      const auto owner = owners_.find(to);
      if (owner == owners_.end() || told.lines.back().event != "expired") continue;
      const SteadyTime accepted = owner->second->ended, ended = told.lines.back().at;
      if (owner->second->outcome != Letter::Outcome::accepted) continue;
      if (truth_.wall_offset(accepted) != truth_.wall_offset(ended)) continue;
      if (ended - accepted < seen_.expire - seconds(60)) fail("invariant 12: expired early: " + to);
    }
  }

  // What the ledger was told, against the sessions that the hosts saw: none is forgotten, and no success is
  // told of that did not come about. (With DANE and a policy a session counts under each, and may succeed
  // under one of them alone.)
  void judge_sessions() {
    std::map<std::string, std::uint64_t> surely, perhaps;
    for (const auto& session : seen_.sessions) {
      ++perhaps[session.domain];
      if (!session.went_on) continue;
      const bool at_an_end = std::any_of(seen_.ends.begin(), seen_.ends.end(), [&](SteadyTime end) {
        return end >= session.at && end - session.at < minutes(3);
      });
      if (!at_an_end) ++surely[session.domain];
    }
    const auto of = [](const auto& map, const std::string& key) {
      const auto found = map.find(key);
      return found == map.end() ? std::uint64_t{0} : found->second;
    };
    for (const auto& domain : world_.domains) {
      const std::string& name = domain->name;
      if (of(heard_.counted, name) < surely[name])
        fail("invariant 39: the hosts of " + name + " saw " + std::to_string(surely[name]) +
             " sessions, the ledger was told of " + std::to_string(of(heard_.counted, name)));
      if (!domain->is_signed && of(heard_.successes, name) > perhaps[name])
        fail("invariant 39: the hosts of " + name + " saw " + std::to_string(perhaps[name]) +
             " sessions, the ledger was told of " + std::to_string(of(heard_.successes, name)) +
             " that succeeded");
    }
  }

  void judge_reports();
  void take(const ReceivedReport& report, const std::string& octets, bool doubtful,
            std::map<std::string, std::uint64_t>& reported, std::map<std::string, int>& times);

  std::string at_text(SteadyTime at) const {
    return std::to_string(std::chrono::duration_cast<seconds>(at.time_since_epoch()).count() - 3600) + " s";
  }

  const World& world_;
  const Seen& seen_;
  const Heard& heard_;
  const std::vector<QueueRow>& rows_;
  Truth truth_;
  Verdicts verdicts_;
  std::map<std::string, std::vector<const Passage*>> copies_;
  std::map<std::string, std::vector<RecipientState>> states_;
  std::map<std::string, const Letter*> owners_;
  std::map<std::string, std::uint64_t> told_;  // sessions by report-id
};

void Judge::take(const ReceivedReport& report, const std::string& octets, bool doubtful,
                 std::map<std::string, std::uint64_t>& reported, std::map<std::string, int>& times) {
  ++verdicts_.reports;
  // "20260301.d0.example@relay.example"
  const auto dot = report.report_id.find('.');
  const std::string domain = report.report_id.substr(dot + 1, report.report_id.find('@') - dot - 1);
  std::uint64_t sessions = 0;
  for (const auto& policy : report.policies) sessions += policy.successful + policy.failed;
  if (!doubtful) ++times[report.report_id];
  const auto [told, is_new] = told_.emplace(report.report_id, sessions);
  if (!is_new) {
    if (told->second != sessions)
      fail("invariant 40: report " + report.report_id + " tells of " + std::to_string(told->second) +
           " sessions, and then of " + std::to_string(sessions));
    return;
  }
  reported[domain] += sessions;
  for (const auto& [to, letter] : owners_)
    if (octets.find(to) != std::string::npos) fail("invariant 40: a report names " + to);
}

void Judge::judge_reports() {
  std::map<std::string, std::uint64_t> reported;
  std::map<std::string, int> times;  // by report-id: repeats of one report
  for (const auto& passage : seen_.passages) {
    if (passage.end != Passage::End::taken && passage.end != Passage::End::in_doubt) continue;
    if (passage.content.find("TLS-Report-Domain:") == std::string::npos) continue;
    const auto report = read_received_report(passage.content);
    if (!report) {
      fail("a report that cannot be read: " + report.error().text());
      continue;
    }
    take(*report, passage.content, is_doubtful(passage), reported, times);
  }
  for (const auto& sent : seen_.reports) {
    const auto report = read_received_report(sent.octets);
    if (!report) {
      fail("a report that cannot be read: " + report.error().text());
      continue;
    }
    take(*report, sent.octets, sent.in_doubt || !seen_.crashes.empty(), reported, times);
  }
  for (const auto& [id, count] : times)
    if (count > 1) fail("invariant 40: report " + id + " was taken " + std::to_string(count) + " times");
  for (const auto& domain : world_.domains) {
    if (!domain->wants_reports) continue;
    const auto counted = heard_.counted.find(domain->name);
    const std::uint64_t most = counted == heard_.counted.end() ? 0 : counted->second;
    const auto lately = heard_.counted_lately.find(domain->name);
    const std::uint64_t lost = lately == heard_.counted_lately.end() ? 0 : lately->second;
    verdicts_.sessions += most;
    const std::uint64_t told = reported[domain->name];
    if (told > most || told + lost < most)
      fail("invariant 39: " + domain->name + " was told of " + std::to_string(told) +
           " sessions, there were " + std::to_string(most) + ", of them " + std::to_string(lost) +
           " in the second before a crash");
  }
}

}  // namespace

Verdicts judge(const World& world, const Heard& heard, const std::vector<QueueRow>& rows) {
  return Judge(world, heard, rows).judge();
}

}  // namespace holdfast::simulation
