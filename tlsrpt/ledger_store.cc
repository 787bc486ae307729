#include <algorithm>
#include <optional>
#include <unordered_map>

#include "tlsrpt/ledger.h"
#include "tlsrpt/ledger_key.h"
#include "tlsrpt/tlsrpt_database.h"

namespace holdfast {

namespace {

std::int64_t day_number(std::chrono::sys_days day) { return day.time_since_epoch().count(); }

class SqliteLedgerStore final : public LedgerStore {
 public:
  SqliteLedgerStore(SqliteDb db, std::string node) : db_(std::move(db)), node_(std::move(node)) {}

  Result<void> prepare() {
    return db_.prepare_all({
        {&insert_policy_,
         "INSERT INTO policy(key, type, domain, text, mx, mode, enforced) VALUES(?,?,?,?,?,?,?) RETURNING "
         "id"},
        {&find_policy_, "SELECT id FROM policy WHERE key = ?"},
        {&read_policy_, "SELECT type, domain, text, mx, mode, enforced FROM policy WHERE id = ?"},
        {&used_,
         "SELECT EXISTS(SELECT 1 FROM session WHERE day = ?1 AND domain = ?2 AND node = ?3 AND policy = ?4)"},
        {&measure_,
         "SELECT count(*), coalesce(sum(length(CAST(text AS BLOB)) + length(CAST(mx AS BLOB))), 0) FROM "
         "policy WHERE text <> ?4 AND id IN "
         "(SELECT policy FROM session WHERE day = ?1 AND domain = ?2 AND node = ?3)"},
        // `report` is the reporter's table: what stands there is frozen, and its day closed for that domain.
        {&first_open_,
         "WITH RECURSIVE closed(day) AS (SELECT ?1 UNION ALL SELECT closed.day + 1 FROM closed JOIN report r "
         "ON r.day = closed.day AND r.domain = ?2) SELECT max(day) FROM closed"},
        {&add_,
         "INSERT INTO session VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) "
         "ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions"},
        {&count_, "SELECT count(*) FROM session WHERE day = ? AND domain = ? AND node = ? AND result <> 0"},
        {&select_,
         "SELECT s.day, s.domain, s.policy, s.result, s.sending_ip, s.mx_host, s.mx_helo, s.receiving_ip, "
         "s.information, s.reason, sum(s.sessions) FROM session s WHERE s.day = ?1 AND (?2 = '' OR s.domain "
         "= ?2) AND (?3 = '' OR s.node = ?3) "
         "GROUP BY s.domain, s.policy, s.result, s.failure ORDER BY s.domain, s.policy, s.result, s.failure"},
        {&days_, "SELECT DISTINCT day, domain FROM session WHERE day < ? ORDER BY day, domain"},
        {&erase_, "DELETE FROM session WHERE day = ?1 AND domain = ?2 AND (?3 = '' OR node = ?3)"},
    });
  }

  Result<void> add(const std::vector<LedgerRow>& rows) override {
    return db_.in_transaction([&] { return add_all(rows); });
  }

  Result<std::vector<LedgerRow>> rows(std::chrono::sys_days day, const DomainName& domain) override {
    return select(day, domain.text(), "");
  }

  Result<void> erase(const std::vector<LedgerDay>& days) override {
    return db_.in_transaction([&] { return erase_all(days); });
  }

  Result<std::vector<LedgerDay>> days_before(std::chrono::sys_days day) override {
    std::vector<LedgerDay> found;
    days_.bind(1, day_number(day));
    while (true) {
      auto there = days_.step();
      if (!there) return there.error();
      if (!*there) return found;
      auto domain = DomainName::parse(days_.text(1));
      if (!domain) {
        days_.reset();
        return Error(SqliteError::damaged, "tlsrpt.db: " + domain.error().detail);
      }
      found.push_back({std::chrono::sys_days(std::chrono::days(days_.integer(0))), *domain});
    }
  }

 private:
  Result<void> erase_all(const std::vector<LedgerDay>& days) {
    for (const auto& [day, domain] : days) {
      erase_.bind(1, day_number(day)).bind(2, std::string_view(domain.text())).bind(3, std::string_view());
      if (auto erased = erase_.run(); !erased) return erased.error();
    }
    return db_.exec("DELETE FROM policy WHERE id NOT IN (SELECT policy FROM session)");
  }

  Result<void> add_all(const std::vector<LedgerRow>& rows) {
    std::vector<std::pair<std::chrono::sys_days, DomainName>> failed;
    for (const auto& row : rows) {
      auto day = first_open(row.outcome.day, row.outcome.report_domain);
      if (!day) return day.error();
      if (auto added = add_one(row, *day); !added) return added.error();
      if (row.outcome.result != ResultType::success) failed.emplace_back(*day, row.outcome.report_domain);
    }
    std::sort(failed.begin(), failed.end());
    failed.erase(std::unique(failed.begin(), failed.end()), failed.end());
    for (const auto& [day, domain] : failed) {
      if (auto bounded = keep_bounded(day, domain); !bounded) return bounded.error();
    }
    return {};
  }

  // The day itself, or the first one after it whose report for this domain is not made yet.
  Result<std::chrono::sys_days> first_open(std::chrono::sys_days day, const DomainName& domain) {
    first_open_.bind(1, day_number(day)).bind(2, std::string_view(domain.text()));
    auto found = first_open_.step();
    if (!found) return found.error();
    const std::chrono::sys_days open{std::chrono::days(first_open_.integer(0))};
    first_open_.reset();
    return open;
  }

  Result<void> add_one(const LedgerRow& row, std::chrono::sys_days day) {
    const auto& outcome = row.outcome;
    auto policy = policy_id(outcome, day);
    if (!policy) return policy.error();
    const std::string failure = failure_key(outcome);
    add_.bind(1, day_number(day)).bind(2, std::string_view(outcome.report_domain.text()));
    add_.bind(3, std::string_view(node_)).bind(4, *policy).bind(5, static_cast<std::int64_t>(outcome.result));
    add_.bind(6, std::string_view(failure));
    add_.bind(7, std::string_view(outcome.sending_ip)).bind(8, std::string_view(outcome.mx_host));
    add_.bind(9, std::string_view(outcome.mx_helo)).bind(10, std::string_view(outcome.receiving_ip));
    add_.bind(11, std::string_view(outcome.additional_information))
        .bind(12, std::string_view(outcome.reason_code));
    add_.bind(13, static_cast<std::int64_t>(row.sessions));
    return add_.run();
  }

  // The policy's row, or that of further policies where the day has too many.
  Result<std::int64_t> policy_id(const SessionOutcome& outcome, std::chrono::sys_days day) {
    const AppliedPolicy& policy = outcome.policy;
    const std::string key = policy_key(policy);
    auto known = find_policy(key);
    if (!known) return known.error();
    const std::string text = join_lines(policy.text), mx = join_lines(policy.mx);
    if (can_fold_policy(outcome) && text != kFurtherPolicies) {
      auto room = has_room(outcome, *known, text.size() + mx.size(), day);
      if (!room) return room.error();
      if (!*room) return policy_id(fold_policy(outcome), day);
    }
    if (*known) return **known;
    insert_policy_.bind(1, std::string_view(key)).bind(2, static_cast<std::int64_t>(policy.type));
    insert_policy_.bind(3, std::string_view(policy.policy_domain.text())).bind(4, std::string_view(text));
    insert_policy_.bind(5, std::string_view(mx)).bind(6, static_cast<std::int64_t>(policy.mode));
    insert_policy_.bind(7, std::int64_t{policy.enforced ? 1 : 0});
    return first_integer(insert_policy_);
  }

  Result<std::optional<std::int64_t>> find_policy(const std::string& key) {
    find_policy_.bind(1, std::string_view(key));
    auto found = find_policy_.step();
    if (!found) return found.error();
    std::optional<std::int64_t> id;
    if (*found) id = find_policy_.integer(0);
    find_policy_.reset();
    return id;
  }

  // Whether the day of the domain counts under this policy already, or may have one more.
  Result<bool> has_room(const SessionOutcome& outcome, std::optional<std::int64_t> policy, std::size_t octets,
                        std::chrono::sys_days day) {
    const std::string_view domain = outcome.report_domain.text();
    if (policy) {
      used_.bind(1, day_number(day)).bind(2, domain).bind(3, std::string_view(node_)).bind(4, *policy);
      auto used = first_integer(used_);
      if (!used) return used.error();
      if (*used != 0) return true;
    }
    measure_.bind(1, day_number(day)).bind(2, domain).bind(3, std::string_view(node_));
    measure_.bind(4, std::string_view(kFurtherPolicies));
    auto found = measure_.step();
    if (!found) return found.error();
    const auto policies = static_cast<std::size_t>(measure_.integer(0));
    const auto there = static_cast<std::size_t>(measure_.integer(1));
    measure_.reset();
    return policies < kMaxPoliciesOfADay && there + octets <= kMaxPolicyOctetsOfADay;
  }

  static Result<std::int64_t> first_integer(SqliteStatement& statement) {
    auto found = statement.step();
    if (!found) return found.error();
    const std::int64_t value = statement.integer(0);
    statement.reset();
    return value;
  }

  // Folds the smallest failures once there are more than the bound, with room to spare so that it is rare.
  Result<void> keep_bounded(std::chrono::sys_days day, const DomainName& domain) {
    count_.bind(1, day_number(day)).bind(2, std::string_view(domain.text())).bind(3, std::string_view(node_));
    auto counted = count_.step();
    if (!counted) return counted.error();
    const auto rows_there = count_.integer(0);
    count_.reset();
    if (rows_there <= static_cast<std::int64_t>(kMaxFailureRows + kMaxFailureRows / 4)) return {};
    auto all = select(day, domain.text(), node_);
    if (!all) return all.error();
    erase_.bind(1, day_number(day)).bind(2, std::string_view(domain.text())).bind(3, std::string_view(node_));
    if (auto erased = erase_.run(); !erased) return erased.error();
    for (const auto& row : fold_failures(std::move(*all))) {
      if (auto added = add_one(row, day); !added) return added.error();
    }
    return {};
  }

  Result<std::vector<LedgerRow>> select(std::chrono::sys_days day, std::string_view domain,
                                        std::string_view node) {
    std::vector<LedgerRow> rows;
    std::unordered_map<std::int64_t, AppliedPolicy> policies;  // each read once: the rows share its text
    select_.bind(1, day_number(day)).bind(2, domain).bind(3, node);
    while (true) {
      auto there = select_.step();
      if (!there) return there.error();
      if (!*there) return rows;
      auto report_domain = DomainName::parse(select_.text(1));
      if (!report_domain) {
        select_.reset();
        return Error(SqliteError::damaged, "tlsrpt.db: " + report_domain.error().detail);
      }
      auto policy = policies.find(select_.integer(2));
      if (policy == policies.end()) {
        auto read = read_policy(select_.integer(2));
        if (!read) {
          select_.reset();
          return read.error();
        }
        policy = policies.emplace(select_.integer(2), std::move(*read)).first;
      }
      LedgerRow& row = rows.emplace_back();
      auto& o = row.outcome;
      o.day = std::chrono::sys_days(std::chrono::days(select_.integer(0)));
      o.report_domain = *report_domain;
      o.policy = policy->second;
      o.result = static_cast<ResultType>(select_.integer(3));
      o.sending_ip = select_.text(4);
      o.mx_host = select_.text(5);
      o.mx_helo = select_.text(6);
      o.receiving_ip = select_.text(7);
      o.additional_information = select_.text(8);
      o.reason_code = select_.text(9);
      row.sessions = static_cast<std::uint64_t>(select_.integer(10));
    }
  }

  Result<AppliedPolicy> read_policy(std::int64_t id) {
    AppliedPolicy policy;
    auto found = read_policy_.bind(1, id).step();
    if (!found) return found.error();
    if (!*found) return Error(SqliteError::damaged, "tlsrpt.db: sessions under a policy that is not there");
    policy.type = static_cast<AppliedPolicy::Type>(read_policy_.integer(0));
    if (auto name = DomainName::parse(read_policy_.text(1))) policy.policy_domain = *name;
    policy.text = split_lines(read_policy_.text(2));
    policy.mx = split_lines(read_policy_.text(3));
    policy.mode = static_cast<StsMode>(read_policy_.integer(4));
    policy.enforced = read_policy_.integer(5) != 0;
    read_policy_.reset();
    return policy;
  }

  SqliteDb db_;
  std::string node_;
  SqliteStatement insert_policy_, find_policy_, read_policy_, used_, measure_, first_open_, add_, count_,
      select_, days_, erase_;
};

}  // namespace

Result<std::unique_ptr<LedgerStore>> open_ledger_store(const std::filesystem::path& file, std::string node) {
  auto db = open_tlsrpt_database(file);
  if (!db) return db.error();
  auto store = std::make_unique<SqliteLedgerStore>(std::move(*db), std::move(node));
  if (auto ready = store->prepare(); !ready) return ready.error();
  return std::unique_ptr<LedgerStore>(std::move(store));
}

}  // namespace holdfast
