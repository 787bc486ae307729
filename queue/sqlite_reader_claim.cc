// The part of the SqliteReader that finds what is due, and claims it.
#include <algorithm>
#include <map>

#include "queue/sqlite_reader.h"
#include "queue/store_record.h"

namespace holdfast {
namespace {

// Ends what begin_read() began, on every way out.
class LeaseReading {
 public:
  explicit LeaseReading(LeaseTable& leases) : leases_(leases) { leases_.begin_read(); }
  ~LeaseReading() { leases_.end_read(); }
  LeaseReading(const LeaseReading&) = delete;
  LeaseReading& operator=(const LeaseReading&) = delete;

 private:
  LeaseTable& leases_;
};

}  // namespace

Result<SqliteReader::Probe> SqliteReader::probe(const std::string& domain, WallTime now, SteadyTime steady) {
  const auto limit = static_cast<std::int64_t>(leases_.count(domain) + kMaxDueCount + 1);
  probe_.bind(1, domain).bind(2, limit);
  Probe found;
  while (true) {
    auto row = probe_.step();
    if (!row) return store_error(row.error());
    if (!*row) return found;
    if (leases_.in_hand(static_cast<RecipientId>(probe_.integer(0)), steady)) continue;
    const WallTime at = from_micros(probe_.integer(1));
    if (at > now) found.next = at;
    if (at > now || ++found.due == kMaxDueCount) break;
  }
  probe_.reset();
  return found;
}

Result<Due> SqliteReader::due(WallTime now, SteadyTime steady, std::size_t limit) {
  for (const auto& domain : leases_.expired(steady)) due_.touch(domain, now);
  Due result;
  for (std::size_t left = due_.ready(now); left > 0 && result.domains.size() < limit; --left) {
    const auto candidate = due_.next();
    if (!candidate) break;
    auto found = probe(candidate->domain, now, steady);
    due_.report(*candidate, !found || found->due > 0, found ? found->next : std::nullopt);
    if (!found) return found.error();
    if (found->due > 0) result.domains.push_back({candidate->domain, found->due});
  }
  // The earliest bound may be one that is no longer true; each look corrects one of them.
  constexpr int kMostLooks = 64;
  for (int looks = 0; looks < kMostLooks; ++looks) {
    const auto earliest = due_.earliest();
    if (!earliest) break;
    result.next = earliest->second;
    auto found = probe(earliest->first.domain, now, steady);
    if (!found) return found.error();
    if (found->due == 0 && found->next == earliest->second) break;
    due_.report(earliest->first, found->due > 0, found->next);
    result.next.reset();
  }
  return result;
}

Result<std::vector<std::pair<WallTime, RecipientId>>> SqliteReader::candidates(const std::string& domain,
                                                                               std::size_t n, WallTime now) {
  std::vector<std::pair<WallTime, RecipientId>> found;
  candidates_.bind(1, domain)
      .bind(2, micros(now))
      .bind(3, static_cast<std::int64_t>(n + leases_.count(domain)));
  while (true) {
    auto row = candidates_.step();
    if (!row) return store_error(row.error());
    if (!*row) return found;
    found.emplace_back(from_micros(candidates_.integer(1)), static_cast<RecipientId>(candidates_.integer(0)));
  }
}

Result<bool> SqliteReader::load_claimed(RecipientId id, ClaimedRecipient& into, std::string& message,
                                        std::string& domain) {
  auto row = claimed_.bind(1, static_cast<std::int64_t>(id)).step();
  if (!row) return store_error(row.error());
  if (!*row) return false;
  message = claimed_.blob(0);
  auto recipient = decode_recipient(claimed_.blob(1));
  into.id = id;
  into.attempts = static_cast<unsigned>(claimed_.integer(2));
  into.delay_notice_sent = (claimed_.integer(3) & kFlagDelayNotice) != 0;
  domain = claimed_.text(4);
  claimed_.reset();
  if (!recipient) return recipient.error();
  into.address = std::move(recipient->address);
  into.dsn = std::move(recipient->dsn);
  return true;
}

Result<std::vector<Claim>> SqliteReader::claim(const std::vector<std::string>& domains, std::size_t n,
                                               WallTime now, SteadyTime steady, Duration lease,
                                               Damage& damaged) {
  const LeaseReading reading(leases_);  // before the snapshot: see store_leases.h
  if (auto begun = begin_.run(); !begun) return store_error(begun.error());
  std::vector<std::pair<WallTime, RecipientId>> found;
  for (const auto& domain : domains) {
    auto some = candidates(domain, n, now);
    if (!some) {
      (void)end_.run();
      return some.error();
    }
    std::erase_if(*some, [&](const auto& row) { return leases_.in_hand(row.second, steady); });
    found.insert(found.end(), some->begin(), some->end());
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());

  std::vector<Claim> claims;
  std::map<std::pair<std::string, std::string>, std::size_t> groups;  // (message, domain): index
  std::size_t taken = 0;
  for (const auto& [at, id] : found) {
    if (taken == n) break;
    ClaimedRecipient recipient;
    std::string message, domain;
    auto loaded = load_claimed(id, recipient, message, domain);
    if (loaded && !*loaded) continue;
    std::shared_ptr<const MessageMeta> of;
    auto group = loaded ? groups.find({message, domain}) : groups.end();
    Result<void> sound = loaded ? Result<void>() : Result<void>(loaded.error());
    if (sound && group == groups.end()) {
      auto decoded = meta(message);
      if (decoded) of = *decoded;
      if (!decoded) sound = decoded.error();
    }
    const ClaimToken token =
        sound && group != groups.end() ? claims[group->second].token : leases_.new_token();
    // What is damaged is taken too, so that it is not looked at again before it is set aside.
    if (!leases_.take(id, token, domain, steady, steady + lease)) continue;
    if (!sound) {
      damaged.emplace_back(id, sound.error().text());
      continue;
    }
    if (group == groups.end()) {
      group = groups.emplace(std::pair(message, domain), claims.size()).first;
      claims.push_back(Claim{token, of, domain, {}});
    }
    claims[group->second].recipients.push_back(std::move(recipient));
    ++taken;
  }
  (void)end_.run();  // of a reading transaction: nothing to lose
  return claims;
}

}  // namespace holdfast
