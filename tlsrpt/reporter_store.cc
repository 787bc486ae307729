#include "tlsrpt/reporter_store.h"

#include "tlsrpt/tlsrpt_database.h"

namespace holdfast {

namespace {

// A time further ahead than this was written under a wrong clock; see is_due().
constexpr std::int64_t kFurthestMicros = 25LL * 3600 * 1'000'000;

std::int64_t number(std::chrono::sys_days day) { return day.time_since_epoch().count(); }
std::int64_t micros(WallTime at) { return at.time_since_epoch().count(); }
WallTime wall(std::int64_t at) { return WallTime(std::chrono::microseconds(at)); }
std::chrono::sys_days day_of(std::int64_t day) { return std::chrono::sys_days(std::chrono::days(day)); }

class SqliteReporterStore final : public ReporterStore {
 public:
  SqliteReporterStore(SqliteDb db, std::string node) : db_(std::move(db)), node_(std::move(node)) {}

  Result<void> prepare() {
    // News are all but the reports that nobody wants.
    std::string wishes;
    for (const auto wish : kWishes) wishes += (wishes.empty() ? "'" : ",'") + std::string(wish) + "'";
    const std::string list =
        "SELECT day, domain, state, lookups, next, started, ended, report_id, '', reason FROM report r "
        "WHERE (?1 IS NULL OR day = ?1) AND (?2 = 1 OR state <> 2 OR EXISTS(SELECT 1 FROM target t "
        "WHERE t.day = r.day AND t.domain = r.domain) OR r.reason NOT IN (" +
        wishes + ")) ORDER BY day DESC, domain LIMIT ?3";
    return db_.prepare_all({
        {&freeze_,
         "INSERT INTO report(day, domain, state, lookups, next, report_id, json, reason) "
         "VALUES(?,?,0,0,?,'','','') ON CONFLICT DO NOTHING"},
        {&due_,
         "SELECT day, domain, state, lookups, next, started, ended, report_id, '', reason FROM report "
         "WHERE next IS NOT NULL AND (next <= ?1 OR next > ?2) ORDER BY day, next LIMIT ?3"},
        {&take_,
         "UPDATE report SET lease_owner = ?3, lease_until = ?5 WHERE day = ?1 AND domain = ?2 AND next IS "
         "NOT "
         "NULL AND (lease_owner IS NULL OR lease_owner = ?3 OR lease_until < ?4)"},
        {&one_,
         "SELECT day, domain, state, lookups, next, started, ended, report_id, json, reason FROM report "
         "WHERE day = ? AND domain = ?"},
        {&targets_,
         "SELECT kind, address, state, attempts, next, reason FROM target WHERE day = ? AND domain = ? ORDER "
         "BY number"},
        {&save_,
         "UPDATE report SET state = ?3, lookups = ?4, next = ?5, started = ?6, ended = ?7, report_id = ?8, "
         "json = ?9, reason = ?10, lease_owner = CASE ?11 WHEN 1 THEN NULL ELSE lease_owner END "
         "WHERE day = ?1 AND domain = ?2"},
        {&save_target_,
         "INSERT INTO target VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) ON CONFLICT(day, domain, number) DO "
         "UPDATE "
         "SET state = excluded.state, attempts = excluded.attempts, next = excluded.next, "
         "reason = excluded.reason WHERE target.state = 0"},
        {&hurry_targets_, "UPDATE target SET next = ?2 WHERE day = ?1 AND state = 0"},
        {&hurry_, "UPDATE report SET next = ?2 WHERE day = ?1 AND next IS NOT NULL"},
        {&mail_ended_, "UPDATE target SET state = ?2, reason = ?3 WHERE key = ?1"},
        {&suppress_,
         "INSERT INTO suppressed VALUES(?,?,?) ON CONFLICT(address) DO UPDATE SET until = excluded.until, "
         "reason = excluded.reason"},
        {&suppressed_, "SELECT address, until, reason FROM suppressed WHERE address = ? AND until > ?"},
        {&all_suppressed_, "SELECT address, until, reason FROM suppressed WHERE until > ? ORDER BY address"},
        {&list_, list},
        {&erasable_,
         "SELECT day, domain FROM report WHERE ended IS NOT NULL AND ended < ? AND erased = 0 LIMIT ?"},
        {&note_erased_, "UPDATE report SET erased = 1, json = '' WHERE day = ? AND domain = ?"},
        {&forget_targets_,
         "DELETE FROM target WHERE EXISTS(SELECT 1 FROM report r WHERE r.day = target.day AND r.domain = "
         "target.domain AND r.ended IS NOT NULL AND r.ended < ? AND r.erased = 1)"},
        {&forget_, "DELETE FROM report WHERE ended IS NOT NULL AND ended < ? AND erased = 1"},
        {&forget_suppressed_, "DELETE FROM suppressed WHERE until <= ?"},
    });
  }

  Result<std::size_t> freeze(const std::vector<ReportProgress>& reports) override {
    std::size_t added = 0;
    auto done = db_.in_transaction([&]() -> Result<void> {
      for (const auto& report : reports) {
        freeze_.bind(1, number(report.day)).bind(2, std::string_view(report.domain.text()));
        if (auto ran = freeze_.bind(3, micros(report.next)).run(); !ran) return ran.error();
        added += static_cast<std::size_t>(db_.changes());
      }
      return {};
    });
    if (!done) return done.error();
    return added;
  }

  Result<std::vector<ReportProgress>> due(WallTime now, std::size_t limit) override {
    due_.bind(1, micros(now)).bind(2, micros(now) + kFurthestMicros);
    return reports(due_.bind(3, static_cast<std::int64_t>(limit)));
  }

  Result<std::optional<ReportProgress>> lease(std::chrono::sys_days day, const DomainName& domain,
                                              WallTime now, Duration time) override {
    const WallTime until = now + std::chrono::floor<std::chrono::microseconds>(time);
    take_.bind(1, number(day)).bind(2, std::string_view(domain.text())).bind(3, std::string_view(node_));
    if (auto taken = take_.bind(4, micros(now)).bind(5, micros(until)).run(); !taken) return taken.error();
    if (db_.changes() == 0) return std::optional<ReportProgress>();
    auto found = reports(one_.bind(1, number(day)).bind(2, std::string_view(domain.text())));
    if (!found) return found.error();
    if (found->empty()) return std::optional<ReportProgress>();
    auto& report = found->front();
    if (auto read = read_targets(report); !read) return read.error();
    return std::optional<ReportProgress>(std::move(report));
  }

  Result<void> save(const ReportProgress& report, bool release) override {
    return db_.in_transaction([&]() -> Result<void> {
      save_.bind(1, number(report.day)).bind(2, std::string_view(report.domain.text()));
      save_.bind(3, static_cast<std::int64_t>(report.state)).bind(4, std::int64_t{report.lookups});
      bind_time(save_, 5, next_step_at(report));
      bind_time(save_, 6, report.started);
      bind_time(save_, 7, report.ended);
      save_.bind(8, std::string_view(report.report_id)).bind(9, std::string_view(report.json));
      save_.bind(10, std::string_view(report.reason)).bind(11, std::int64_t{release ? 1 : 0});
      if (auto saved = save_.run(); !saved) return saved.error();
      for (std::size_t i = 0; i < report.targets.size(); ++i) {
        if (auto saved = save_target(report, i); !saved) return saved.error();
      }
      return {};
    });
  }

  Result<std::size_t> hurry(std::chrono::sys_days day, WallTime now) override {
    std::size_t count = 0;
    auto done = db_.in_transaction([&]() -> Result<void> {
      if (auto ran = hurry_targets_.bind(1, number(day)).bind(2, micros(now)).run(); !ran) return ran.error();
      if (auto ran = hurry_.bind(1, number(day)).bind(2, micros(now)).run(); !ran) return ran.error();
      count = static_cast<std::size_t>(db_.changes());
      return {};
    });
    if (!done) return done.error();
    return count;
  }

  Result<void> mail_ended(const std::string& key, TargetState state, const std::string& reason) override {
    mail_ended_.bind(1, std::string_view(key)).bind(2, static_cast<std::int64_t>(state));
    return mail_ended_.bind(3, std::string_view(reason)).run();
  }

  Result<void> suppress(const SuppressedAddress& address) override {
    suppress_.bind(1, std::string_view(address.address)).bind(2, micros(address.until));
    return suppress_.bind(3, std::string_view(address.reason)).run();
  }

  Result<std::optional<SuppressedAddress>> suppressed(const std::string& address, WallTime now) override {
    auto found = addresses(suppressed_.bind(1, std::string_view(address)).bind(2, micros(now)));
    if (!found) return found.error();
    if (found->empty()) return std::optional<SuppressedAddress>();
    return std::optional<SuppressedAddress>(std::move(found->front()));
  }

  Result<std::vector<SuppressedAddress>> all_suppressed(WallTime now) override {
    return addresses(all_suppressed_.bind(1, micros(now)));
  }

  Result<std::vector<ReportProgress>> list(std::optional<std::chrono::sys_days> day, bool all,
                                           std::size_t limit) override {
    if (day) {
      list_.bind(1, number(*day));
    } else {
      list_.bind_null(1);
    }
    auto found = reports(list_.bind(2, std::int64_t{all ? 1 : 0}).bind(3, static_cast<std::int64_t>(limit)));
    if (!found) return found.error();
    for (auto& report : *found) {
      if (auto read = read_targets(report); !read) return read.error();
    }
    return found;
  }

  Result<std::vector<LedgerDay>> erasable(WallTime ended_before, std::size_t limit) override {
    std::vector<LedgerDay> found;
    erasable_.bind(1, micros(ended_before)).bind(2, static_cast<std::int64_t>(limit));
    while (true) {
      auto there = erasable_.step();
      if (!there) return there.error();
      if (!*there) return found;
      if (auto domain = DomainName::parse(erasable_.text(1)))
        found.push_back({day_of(erasable_.integer(0)), *domain});
    }
  }

  Result<void> note_erased(const std::vector<LedgerDay>& days) override {
    return db_.in_transaction([&]() -> Result<void> {
      for (const auto& [day, domain] : days) {
        note_erased_.bind(1, number(day)).bind(2, std::string_view(domain.text()));
        if (auto ran = note_erased_.run(); !ran) return ran.error();
      }
      return {};
    });
  }

  Result<void> forget(WallTime ended_before, WallTime now) override {
    return db_.in_transaction([&]() -> Result<void> {
      if (auto ran = forget_targets_.bind(1, micros(ended_before)).run(); !ran) return ran.error();
      if (auto ran = forget_.bind(1, micros(ended_before)).run(); !ran) return ran.error();
      return forget_suppressed_.bind(1, micros(now)).run();
    });
  }

 private:
  static void bind_time(SqliteStatement& statement, int index, const std::optional<WallTime>& at) {
    if (at) {
      statement.bind(index, micros(*at));
    } else {
      statement.bind_null(index);
    }
  }

  Result<void> save_target(const ReportProgress& report, std::size_t index) {
    const auto& target = report.targets[index];
    const std::string key = mail_key(report.report_id, target.target);
    save_target_.bind(1, number(report.day)).bind(2, std::string_view(report.domain.text()));
    save_target_.bind(3, static_cast<std::int64_t>(index));
    save_target_.bind(4, static_cast<std::int64_t>(target.target.kind));
    save_target_.bind(5, std::string_view(target.target.address)).bind(6, std::string_view(key));
    save_target_.bind(7, static_cast<std::int64_t>(target.state)).bind(8, std::int64_t{target.attempts});
    save_target_.bind(9, micros(target.next)).bind(10, std::string_view(target.reason));
    return save_target_.run();
  }

  Result<std::vector<ReportProgress>> reports(SqliteStatement& rows) {
    std::vector<ReportProgress> found;
    while (true) {
      auto there = rows.step();
      if (!there) return there.error();
      if (!*there) return found;
      auto domain = DomainName::parse(rows.text(1));
      if (!domain) {
        rows.reset();
        return Error(SqliteError::damaged, "tlsrpt.db: " + domain.error().detail);
      }
      ReportProgress& report = found.emplace_back();
      report.day = day_of(rows.integer(0));
      report.domain = *domain;
      report.state = static_cast<ReportState>(rows.integer(2));
      report.lookups = static_cast<unsigned>(rows.integer(3));
      if (!rows.is_null(4)) report.next = wall(rows.integer(4));
      if (!rows.is_null(5)) report.started = wall(rows.integer(5));
      if (!rows.is_null(6)) report.ended = wall(rows.integer(6));
      report.report_id = rows.text(7);
      report.json = rows.text(8);
      report.reason = rows.text(9);
    }
  }

  Result<void> read_targets(ReportProgress& report) {
    targets_.bind(1, number(report.day)).bind(2, std::string_view(report.domain.text()));
    while (true) {
      auto there = targets_.step();
      if (!there) return there.error();
      if (!*there) return {};
      TargetProgress& target = report.targets.emplace_back();
      target.target.kind = static_cast<ReportTarget::Kind>(targets_.integer(0));
      target.target.address = targets_.text(1);
      target.state = static_cast<TargetState>(targets_.integer(2));
      target.attempts = static_cast<unsigned>(targets_.integer(3));
      target.next = wall(targets_.integer(4));
      target.reason = targets_.text(5);
    }
  }

  static Result<std::vector<SuppressedAddress>> addresses(SqliteStatement& rows) {
    std::vector<SuppressedAddress> found;
    while (true) {
      auto there = rows.step();
      if (!there) return there.error();
      if (!*there) return found;
      SuppressedAddress& one = found.emplace_back();
      one.address = rows.text(0);
      one.until = wall(rows.integer(1));
      one.reason = rows.text(2);
    }
  }

  SqliteDb db_;
  std::string node_;
  SqliteStatement freeze_, due_, take_, one_, targets_, save_, save_target_, hurry_targets_, hurry_,
      mail_ended_, suppress_, suppressed_, all_suppressed_, list_, erasable_, note_erased_, forget_targets_,
      forget_, forget_suppressed_;
};

}  // namespace

Result<std::unique_ptr<ReporterStore>> open_reporter_store(const std::filesystem::path& file,
                                                           std::string node) {
  auto db = open_tlsrpt_database(file);
  if (!db) return db.error();
  auto store = std::make_unique<SqliteReporterStore>(std::move(*db), std::move(node));
  if (auto ready = store->prepare(); !ready) return ready.error();
  return std::unique_ptr<ReporterStore>(std::move(store));
}

}  // namespace holdfast
