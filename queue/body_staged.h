// queue/body_staged.h — a body on its way into a store of this machine: in memory up to a limit, in a file
// above it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "queue/body_files.h"
#include "queue/sqlite_thread.h"
#include "queue/store.h"

namespace holdfast {

// What all staged bodies share. Outlives them.
struct BodyStage {
  const BodyFiles& files;
  JobThreads& threads;  // where files are written and synced
  std::uint64_t inline_limit;
  // Told why when a sync failed (StoreError::failed_for_good): from then on nothing may be acknowledged, for
  // what else the disk forgot is not known. Called on `threads`.
  std::function<void(const std::string&)> on_failed_sync;
  // Octets of staged bodies in memory. Above kMaxStaged every further body goes to its file at once, so that
  // a thousand slow clients cannot hold a thousand times the limit.
  std::atomic<std::uint64_t> staged = 0;
};

inline constexpr std::uint64_t kMaxStaged = std::uint64_t{64} << 20;

class FileStagedBody final : public StagedBody {
 public:
  explicit FileStagedBody(std::shared_ptr<BodyStage> stage) : stage_(std::move(stage)) {}
  ~FileStagedBody() override;

  asio::awaitable<Result<void>> write(std::string_view chunk) override;
  asio::awaitable<Result<void>> finish() override;
  std::uint64_t size() const override { return size_; }

  std::uint32_t sum() const { return sum_; }
  const std::string& file() const { return name_; }  // "" = in memory
  // The octets, once finished in memory. May be taken more than once.
  std::shared_ptr<const std::string> memory();
  // The row that names the file is durable: it is not removed with this object.
  void keep_file() { kept_ = true; }

 private:
  asio::awaitable<Result<void>> flush(bool last);
  void account(std::uint64_t octets);

  std::shared_ptr<BodyStage> stage_;
  std::string buffer_;
  std::shared_ptr<const std::string> memory_;
  std::unique_ptr<BodyFile> file_;
  std::string name_;
  std::uint64_t size_ = 0;
  std::uint64_t accounted_ = 0;
  std::uint32_t sum_ = 0;
  bool kept_ = false;
};

}  // namespace holdfast
