#include "smtp/server/content_source.h"

#include <fmt/format.h>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

constexpr std::size_t kReadSize = 64 * 1024;
// Most messages are small; a read that fills this much is followed by larger ones.
constexpr std::size_t kFirstReadSize = 4 * 1024;
// A start for everyone, before the average has to hold.
constexpr Duration kRateGrace = std::chrono::seconds(60);
// Without a minimum rate the transfer must still end.
constexpr Duration kLongestTransfer = std::chrono::hours(1);
// A client that goes on far beyond the size that EHLO told it does not listen; no need to hear it out.
constexpr std::uint64_t kPatience = 1024 * 1024;

Reply refusal_for(WireError error) {
  switch (error) {
    case WireError::bare_cr:
      return make_reply(554,
                        "5.6.0 The message holds a CR that is not followed by LF; end lines with CRLF only");
    case WireError::bare_lf:
      return make_reply(554, "5.6.0 The message holds a LF without a CR before it; end lines with CRLF only");
    case WireError::nul:
      return make_reply(554, "5.6.0 The message holds a NUL octet; encode binary content as base64");
    default: return make_reply(554, "5.6.0 The message is malformed");
  }
}

}  // namespace

SteadyTime RateLimit::deadline() const {
  const SteadyTime now = clock_.now();
  const Duration allowed =
      min_rate_ == 0 ? kLongestTransfer : kRateGrace + std::chrono::seconds(octets_ / min_rate_);
  return std::min(now + idle_, now + std::max(allowed - spent_, Duration(0)));
}

void RateLimit::waited(SteadyTime since, std::size_t octets) {
  spent_ += clock_.now() - since;
  octets_ += octets;
}

void ContentRules::look(const ContentCheck& check, std::uint64_t size) {
  if (refusal_) return;
  if (check.violation()) {
    refusal_ = refusal_for(*check.violation());
  } else if (limits_.message_size > 0 && size > limits_.message_size) {
    refusal_ =
        make_reply(552, fmt::format("5.3.4 The message is larger than {} octets", limits_.message_size));
  } else if (limits_.long_lines == LongLines::refuse && check.longest_line() > limits_.line_length) {
    refusal_ = make_reply(554, fmt::format("5.6.0 A line of the message is longer than {} octets; "
                                           "use quoted-printable or base64",
                                           limits_.line_length));
  }
}

bool ContentRules::hopeless(std::uint64_t size) const {
  return limits_.message_size > 0 && size > limits_.message_size * 2 + kPatience;
}

asio::awaitable<bool> DataSource::pull() {
  content_.clear();
  if (io_.rest().empty()) {
    if (!buffer_ || (full_ && buffer_size_ < kReadSize)) {
      buffer_size_ = buffer_ ? kReadSize : kFirstReadSize;
      buffer_ = std::make_unique_for_overwrite<char[]>(buffer_size_);
    }
    io_.stream().set_deadline(rate_.deadline());
    const SteadyTime since = clock_.now();
    const std::span<char> space(buffer_.get(), buffer_size_);
    auto count = co_await io_.read(space);
    if (!count) {
      broken_ = count.error();
      co_return false;
    }
    rate_.waited(since, *count);
    full_ = *count == buffer_size_;
    const std::string_view octets(buffer_.get(), *count);
    const std::size_t used = decoder_.decode(octets, content_);
    io_.unread(octets.substr(used));
  } else {
    io_.drop(decoder_.decode(io_.rest(), content_));
  }
  size_ += content_.size();
  rules_.look(decoder_.check(), size_);
  co_return true;
}

asio::awaitable<Result<std::string_view>> DataSource::next() {
  content_.clear();
  while (content_.empty() && !decoder_.finished()) {
    const bool pulled = co_await pull();
    if (!pulled) co_return *broken_;
    if (refusal()) co_return Error(WireError::malformed, refusal()->summary());
  }
  co_return std::string_view(content_);
}

asio::awaitable<bool> DataSource::drain() {
  while (!decoder_.finished()) {
    if (broken_ || rules_.hopeless(size_)) co_return false;
    const bool pulled = co_await pull();
    if (!pulled) co_return false;
  }
  co_return true;
}

asio::awaitable<bool> ChunkSource::pull() {
  if (io_.rest().empty()) {
    content_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left_, kReadSize)));
    io_.stream().set_deadline(rate_.deadline());
    const SteadyTime since = clock_.now();
    auto count = co_await io_.read(content_);
    if (!count) {
      broken_ = count.error();
      co_return false;
    }
    rate_.waited(since, *count);
    content_.resize(*count);
  } else {
    content_ = io_.rest().substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, kReadSize)));
    io_.drop(content_.size());
  }
  left_ -= content_.size();
  size_ += content_.size();
  check_.feed(content_);
  if (complete()) check_.finish();
  rules_.look(check_, size_);
  co_return true;
}

asio::awaitable<Result<std::string_view>> ChunkSource::next() {
  while (true) {
    if (refusal()) co_return Error(WireError::malformed, refusal()->summary());
    if (left_ > 0) {
      const bool pulled = co_await pull();
      if (!pulled) co_return *broken_;
      if (refusal()) continue;
      co_return std::string_view(content_);
    }
    if (chunk_.last) {
      // Here too when the last chunk is empty and the one before it ended in a CR.
      check_.finish();
      rules_.look(check_, size_);
      if (refusal()) continue;
      co_return std::string_view();
    }
    auto chunk = co_await commands_.next_chunk(chunk_.size);
    if (!chunk) {
      broken_ = chunk.error();
      co_return *broken_;
    }
    chunk_ = *chunk;
    left_ = chunk_.size;
    look_ahead();
  }
}

// A chunk of 2^64-1 octets must not wrap around.
std::uint64_t ChunkSource::size_with_chunk() const {
  return left_ > UINT64_MAX - size_ ? UINT64_MAX : size_ + left_;
}

void ChunkSource::look_ahead() { rules_.look(check_, size_with_chunk()); }

asio::awaitable<bool> ChunkSource::drain() {
  if (rules_.hopeless(size_with_chunk())) co_return false;
  while (left_ > 0) {
    if (broken_) co_return false;
    const bool pulled = co_await pull();
    if (!pulled) co_return false;
  }
  co_return true;
}

}  // namespace holdfast
