#include "queue/body_staged.h"

#include "queue/checksum.h"

namespace holdfast {
namespace {

constexpr std::size_t kWriteSize = std::size_t{256} << 10;  // octets a hop to the writing threads is worth

}  // namespace

FileStagedBody::~FileStagedBody() {
  account(0);
  if (name_.empty() || kept_) return;
  // Not here: a worker never waits for the file system.
  std::shared_ptr<BodyFile> file = std::move(file_);
  stage_->threads.post([stage = stage_, file, name = name_]() mutable {
    file.reset();
    stage->files.remove(name);
  });
}

void FileStagedBody::account(std::uint64_t octets) {
  stage_->staged += octets - accounted_;  // modulo 2^64: also down
  accounted_ = octets;
}

asio::awaitable<Result<void>> FileStagedBody::write(std::string_view chunk) {
  size_ += chunk.size();
  sum_ = checksum(chunk, sum_);
  buffer_ += chunk;
  account(buffer_.size());
  const bool large = size_ > stage_->inline_limit || stage_->staged > kMaxStaged;
  if (name_.empty() ? large : buffer_.size() >= kWriteSize) co_return co_await flush(false);
  co_return Result<void>();
}

asio::awaitable<Result<void>> FileStagedBody::flush(bool last) {
  if (name_.empty()) name_ = stage_->files.new_name();
  std::function<Result<void>()> job = [this, last]() -> Result<void> {
    if (!file_) {
      auto made = stage_->files.create(name_);
      if (!made) return made.error();
      file_ = std::move(*made);
    }
    if (auto written = file_->write(buffer_); !written) return written;
    if (!last) return {};
    auto synced = file_->sync();
    file_.reset();
    if (!synced && synced.error().is(StoreError::failed_for_good))
      stage_->on_failed_sync(synced.error().detail);
    return synced;
  };
  auto result = co_await stage_->threads.call<Result<void>>(std::move(job));
  buffer_.clear();
  if (!last) buffer_.reserve(kWriteSize + kWriteSize / 2);  // the last chunk may go beyond
  account(0);
  co_return result;
}

asio::awaitable<Result<void>> FileStagedBody::finish() {
  if (!name_.empty()) co_return co_await flush(true);
  co_return Result<void>();
}

std::shared_ptr<const std::string> FileStagedBody::memory() {
  if (!memory_) memory_ = std::make_shared<const std::string>(std::move(buffer_));
  return memory_;
}

}  // namespace holdfast
