#include "queue/body_reader.h"

#include "queue/checksum.h"

namespace holdfast {
namespace {

constexpr std::size_t kReadSize = std::size_t{128} << 10;

class MemoryBody final : public StoredBody {
 public:
  explicit MemoryBody(std::shared_ptr<const MessageContent> content) : content_(std::move(content)) {}

  asio::awaitable<Result<std::string_view>> next() override {
    const std::string* const parts[] = {&content_->prefix, content_->body.get(), &content_->suffix};
    while (at_ < std::size(parts)) {
      const std::string& part = *parts[at_++];
      if (!part.empty()) co_return std::string_view(part);
    }
    co_return std::string_view();
  }
  std::uint64_t size() const override { return content_->size(); }
  bool in_memory() const override { return true; }

 private:
  std::shared_ptr<const MessageContent> content_;
  std::size_t at_ = 0;
};

class FileBody final : public StoredBody {
 public:
  FileBody(std::string prefix, std::unique_ptr<BodyFile> file, BodyFileInfo info, std::string suffix,
           JobThreads& threads, std::function<void(std::string)> on_damage)
      : prefix_(std::move(prefix)),
        file_(std::move(file)),
        info_(std::move(info)),
        suffix_(std::move(suffix)),
        threads_(threads),
        on_damage_(std::move(on_damage)) {}

  asio::awaitable<Result<std::string_view>> next() override {
    if (stage_ == Stage::prefix) {
      stage_ = Stage::body;
      if (!prefix_.empty()) co_return std::string_view(prefix_);
    }
    if (stage_ == Stage::body) {
      auto more = co_await read();
      if (!more) co_return more.error();
      if (*more > 0) co_return std::string_view(buffer_.get(), *more);
      stage_ = Stage::suffix;
    }
    if (stage_ == Stage::suffix) {
      stage_ = Stage::end;
      if (!suffix_.empty()) co_return std::string_view(suffix_);
    }
    co_return std::string_view();
  }
  std::uint64_t size() const override { return prefix_.size() + info_.length + suffix_.size(); }
  bool in_memory() const override { return false; }

 private:
  enum class Stage { prefix, body, suffix, end };

  // The last octets are given out only once the checksum is known to be right.
  asio::awaitable<Result<std::size_t>> read() {
    if (read_ == info_.length) co_return std::size_t{0};
    if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kReadSize);
    const std::span<char> space(buffer_.get(), kReadSize);
    // A fresh body is still in the system's memory, and needs no other thread.
    auto got = file_->read_cached(space);
    if (!got) {
      std::function<Result<std::size_t>()> job = [this, space] { return file_->read(space); };
      got = co_await threads_.call<Result<std::size_t>>(std::move(job));
    }
    if (!*got) co_return got->error();
    const std::size_t count = **got;
    read_ += count;
    sum_ = checksum(std::string_view(buffer_.get(), count), sum_);
    const bool wrong = read_ > info_.length || (read_ == info_.length && sum_ != info_.sum);
    if (count == 0 || wrong) {
      const std::string detail = "body file " + info_.name + (wrong ? ": wrong checksum" : ": too short");
      on_damage_(detail);
      co_return Error(StoreError::damaged, detail);
    }
    co_return count;
  }

  std::string prefix_;
  std::unique_ptr<BodyFile> file_;
  BodyFileInfo info_;
  std::string suffix_;
  JobThreads& threads_;
  std::function<void(std::string)> on_damage_;
  Stage stage_ = Stage::prefix;
  std::unique_ptr<char[]> buffer_;
  std::uint64_t read_ = 0;
  std::uint32_t sum_ = 0;
};

}  // namespace

std::unique_ptr<StoredBody> make_memory_body(std::shared_ptr<const MessageContent> content) {
  return std::make_unique<MemoryBody>(std::move(content));
}

std::unique_ptr<StoredBody> make_file_body(std::string prefix, std::unique_ptr<BodyFile> file,
                                           BodyFileInfo info, std::string suffix, JobThreads& threads,
                                           std::function<void(std::string)> on_damage) {
  return std::make_unique<FileBody>(std::move(prefix), std::move(file), std::move(info), std::move(suffix),
                                    threads, std::move(on_damage));
}

}  // namespace holdfast
