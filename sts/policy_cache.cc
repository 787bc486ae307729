#include "sts/policy_cache.h"

#include "smtp/base/sqlite.h"

namespace holdfast {
namespace {

constexpr char kSchema[] =
    "CREATE TABLE IF NOT EXISTS policy ("
    " domain TEXT PRIMARY KEY,"
    " id TEXT NOT NULL,"
    " text TEXT NOT NULL,"        // the policy's lines, each ending in LF
    " fetched INTEGER NOT NULL,"  // microseconds since 1970
    " expires INTEGER NOT NULL) WITHOUT ROWID";

std::string text_of(const StsPolicy& policy) {
  std::string text;
  for (const std::string& line : policy.lines) text += line + "\n";
  return text;
}

std::int64_t micros(WallTime at) { return at.time_since_epoch().count(); }
WallTime wall(std::int64_t at) { return WallTime(std::chrono::microseconds(at)); }

class SqlitePolicyCache final : public PolicyCache {
 public:
  explicit SqlitePolicyCache(Log& log) : log_(log) {}

  Result<void> open(const std::filesystem::path& file) {
    auto db = SqliteDb::open(file);
    if (!db) return db.error();
    db_ = std::move(*db);
    auto made = db_.exec(kSchema);
    if (!made) return made.error();
    return prepare();
  }
  Result<void> open_to_read(const std::filesystem::path& file) {
    SqliteOptions options;
    options.read_only = true;
    auto db = SqliteDb::open(file, options);
    if (!db) return db.error();
    db_ = std::move(*db);
    return prepare();
  }
  Result<void> prepare() {
    for (auto [statement, sql] :
         {std::pair(&load_, "SELECT domain, id, text, fetched, expires FROM policy"),
          std::pair(&put_,
                    "INSERT INTO policy (domain, id, text, fetched, expires) VALUES (?1, ?2, ?3, ?4, ?5)"
                    " ON CONFLICT (domain) DO UPDATE SET id = ?2, text = ?3, fetched = ?4, expires = ?5"),
          std::pair(&erase_, "DELETE FROM policy WHERE domain = ?1")}) {
      auto prepared = db_.prepare(sql);
      if (!prepared) return prepared.error();
      *statement = std::move(*prepared);
    }
    return {};
  }

  Result<std::vector<CachedPolicy>> load() override {
    std::vector<CachedPolicy> policies;
    while (true) {
      auto row = load_.step();
      if (!row) return row.error();
      if (!*row) return policies;
      auto domain = DomainName::parse(load_.text(0));
      auto policy = StsPolicy::parse(load_.text(2));
      if (!domain || !policy) {
        Fields fields;
        fields.add("domain", load_.text(0))
            .add("reason", domain ? policy.error().text() : domain.error().text());
        log_.warning("a row of the policy cache cannot be read", fields);
        continue;
      }
      CachedPolicy cached;
      cached.domain = std::move(*domain);
      cached.id = load_.text(1);
      cached.policy = std::move(*policy);
      cached.fetched = wall(load_.integer(3));
      cached.expires = wall(load_.integer(4));
      policies.push_back(std::move(cached));
    }
  }

  Result<void> put(const CachedPolicy& policy) override {
    const std::string text = text_of(policy.policy);
    put_.bind(1, policy.domain.text()).bind(2, policy.id).bind(3, text);
    put_.bind(4, micros(policy.fetched)).bind(5, micros(policy.expires));
    return put_.run();
  }

  Result<void> erase(const DomainName& domain) override {
    erase_.bind(1, domain.text());
    return erase_.run();
  }

 private:
  Log& log_;
  SqliteDb db_;  // before the statements, which must not outlive it
  SqliteStatement load_, put_, erase_;
};

}  // namespace

Result<std::unique_ptr<PolicyCache>> open_policy_cache(const std::filesystem::path& file, Log& log) {
  auto cache = std::make_unique<SqlitePolicyCache>(log);
  auto opened = cache->open(file);
  if (!opened) return opened.error();
  return std::unique_ptr<PolicyCache>(std::move(cache));
}

Result<std::vector<CachedPolicy>> read_policy_cache(const std::filesystem::path& file, Log& log) {
  SqlitePolicyCache cache(log);
  if (auto opened = cache.open_to_read(file); !opened) return opened.error();
  return cache.load();
}

}  // namespace holdfast
