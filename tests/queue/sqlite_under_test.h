// tests/queue/sqlite_under_test.h — an SqliteStore in a directory of its own, for tests.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "queue/sqlite_store.h"
#include "tests/fakes/capture.h"
#include "tests/queue/store_conformance.h"

namespace holdfast {

// Removed with everything in it when it goes.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string name = (parent / "holdfast-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline SqliteStoreOptions test_options(const std::filesystem::path& directory) {
  SqliteStoreOptions options;
  options.data_dir = directory;
  options.inline_limit = 256 << 10;
  options.min_free_space = {0.0, 1};
  options.history = std::chrono::hours(24 * 7);
  options.history_size = std::uint64_t{1} << 30;
  options.header_size = 256 << 10;
  return options;
}

class SqliteUnderTest final : public StoreUnderTest {
 public:
  explicit SqliteUnderTest(SqliteStoreOptions changes = test_options({})) : options_(std::move(changes)) {
    options_.data_dir = directory_.path();
    store_ = SqliteStore::open(options_, clock_, log_, metrics_).value();
  }
  Store& store() override { return *store_; }
  Quota& quota() override { return *store_; }
  FakeClock& clock() override { return clock_; }
  bool durable() const override { return true; }
  void reopen() override {
    shut();
    reopen_closed();
  }
  void reopen_closed() { store_ = SqliteStore::open(options_, clock_, log_, metrics_).value(); }
  void shut() {
    run_to_end(store_->close());
    store_.reset();
  }
  const std::filesystem::path& path() const { return directory_.path(); }
  CapturingLog& log() { return log_; }
  CapturingMetrics& metrics() { return metrics_; }

 private:
  TemporaryDirectory directory_;
  FakeClock clock_;
  CapturingLog log_;
  CapturingMetrics metrics_;
  SqliteStoreOptions options_;
  std::unique_ptr<SqliteStore> store_;
};

inline std::unique_ptr<StoreUnderTest> make_sqlite_under_test() {
  return std::make_unique<SqliteUnderTest>();
}

}  // namespace holdfast
