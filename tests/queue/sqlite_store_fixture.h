// tests/queue/sqlite_store_fixture.h — an SqliteStore whose disk can be made to fail, and whose files can be
// seen and changed.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "smtp/base/sqlite.h"
#include "tests/queue/faulty_vfs.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {

class SqliteStoreTest : public testing::Test {
 protected:
  ~SqliteStoreTest() override {
    FaultyVfs::fail_sync = false;
    FaultyVfs::no_space = false;
  }
  void start(SqliteStoreOptions options = test_options({})) {
    engine_ = std::make_unique<SqliteUnderTest>(std::move(options));
    t_ = std::make_unique<StoreTest>(*engine_);
  }
  void start_faulty() {
    auto options = test_options({});
    options.vfs = FaultyVfs::name();
    start(options);
  }
  std::vector<std::filesystem::path> body_files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(engine_->path() / "bodies"))
      if (entry.is_regular_file()) files.push_back(entry.path());
    return files;
  }
  // Work of the file threads that nobody waits for (removals) is done once an operation after it is.
  bool eventually(const std::function<bool()>& condition) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void run_sql(const std::string& sql) {
    auto db = SqliteDb::open(engine_->path() / "queue.db").value();
    const auto done = db.exec(sql.c_str());
    ASSERT_TRUE(done) << done.error().text();
  }

  std::unique_ptr<SqliteUnderTest> engine_;
  std::unique_ptr<StoreTest> t_;
};

}  // namespace holdfast
