// queue/body_files.h — large bodies, each in a file of its own below data_dir/bodies/, named by a random
// number.
//
// A body is written while it comes in, synced, and its directory after it, before the row that names it
// commits: so a row never names a file that a power cut could take away. A file without a row is an orphan of
// a crash and removed at the next start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "queue/store.h"
#include "smtp/base/random.h"

namespace holdfast {

// An open file. Every call blocks, but for read_cached().
class BodyFile {
 public:
  BodyFile(int descriptor, std::filesystem::path path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~BodyFile();
  BodyFile(const BodyFile&) = delete;
  BodyFile& operator=(const BodyFile&) = delete;

  Result<void> write(std::string_view octets);  // StoreError::full, io
  Result<void> sync();  // the file, then its directory; StoreError::failed_for_good, full, io
  // Up to so many octets from where the last read ended, and how many they were; 0 at the end.
  Result<std::size_t> read(std::span<char> into);
  Result<std::string> read(std::size_t size);
  // The same of what the system has in memory; nullopt when the disk would have to be waited for.
  std::optional<Result<std::size_t>> read_cached(std::span<char> into);

 private:
  int descriptor_;
  std::filesystem::path path_;
};

// Thread-safe. Every call blocks.
class BodyFiles {
 public:
  // Makes the directories; they are synced when this returns.
  static Result<std::unique_ptr<BodyFiles>> open(std::filesystem::path directory);
  explicit BodyFiles(std::filesystem::path directory);

  std::string new_name() const;  // "ab/ab12…"
  Result<std::unique_ptr<BodyFile>> create(const std::string& name) const;
  Result<std::unique_ptr<BodyFile>> open_for_reading(const std::string& name) const;  // not_found, io
  void remove(const std::string& name) const;
  // Removes every file that `known` does not know; how many there were.
  std::size_t remove_orphans(const std::function<bool(const std::string&)>& known) const;

 private:
  std::filesystem::path directory_;
  std::unique_ptr<Random> random_;
};

}  // namespace holdfast
