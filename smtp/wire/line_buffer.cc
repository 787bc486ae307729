#include "smtp/wire/line_buffer.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/secret.h"
#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

// The first thing that a line may not hold.
std::optional<WireError> violation(std::string_view line) {
  // Three fast looks instead of one that compares each octet with all three.
  const std::size_t at = std::min({line.find('\r'), line.find('\n'), line.find('\0')});
  if (at == std::string_view::npos) return std::nullopt;
  if (line[at] == '\r') return WireError::bare_cr;
  return line[at] == '\n' ? WireError::bare_lf : WireError::nul;
}

}  // namespace

void LineBuffer::append(std::string_view octets) {
  // Compacting before growing keeps the buffer at the size of what is unread.
  if (start_ > 0) {
    buffer_.erase(0, start_);
    scanned_ -= start_;
    start_ = 0;
  }
  if (buffer_.size() + octets.size() > buffer_.capacity()) {
    // Growing would free the old octets as they are, and there may be half a credential among them.
    std::string larger;
    larger.reserve(std::max(2 * buffer_.capacity(), buffer_.size() + octets.size()));
    larger = buffer_;
    wipe(buffer_);
    buffer_ = std::move(larger);
  }
  buffer_ += octets;
}

std::optional<std::size_t> LineBuffer::line_end() {
  const std::size_t end = buffer_.find("\r\n", scanned_);
  if (end != std::string::npos) {
    scanned_ = end;
    return end;
  }
  // A CR at the very end may be half of a CRLF.
  const bool half = buffer_.size() > start_ && buffer_.back() == '\r';
  scanned_ = buffer_.size() - (half ? 1 : 0);
  return std::nullopt;
}

void LineBuffer::drop_rest_of_long_line() {
  if (!discarding_) return;
  discarding_ = !line_end();
  drop(scanned_ - start_ + (discarding_ ? 0 : 2));
}

bool LineBuffer::has_line() {
  drop_rest_of_long_line();
  return !discarding_ && (line_end() || scanned_ - start_ > limit_);
}

Result<std::optional<std::string_view>> LineBuffer::next() {
  drop_rest_of_long_line();
  if (discarding_) return std::optional<std::string_view>();
  const auto end = line_end();
  if (!end && scanned_ - start_ <= limit_) return std::optional<std::string_view>();
  const std::string_view line = std::string_view(buffer_).substr(start_, scanned_ - start_);
  drop(line.size() + (end ? 2 : 0));
  if (line.size() > limit_) {
    discarding_ = !end;
    return Error(WireError::line_too_long, fmt::format("more than {} octets", limit_));
  }
  if (auto bad = violation(line)) return Error(*bad);
  return std::optional<std::string_view>(line);
}

std::string LineBuffer::take(std::size_t limit) {
  std::string taken(rest().substr(0, limit));
  drop(taken.size());
  return taken;
}

void LineBuffer::clear() {
  buffer_.clear();
  start_ = scanned_ = 0;
  discarding_ = false;
}

void LineBuffer::forget() {
  std::string left = heap_text(rest());
  wipe(buffer_);
  buffer_ = std::move(left);
  start_ = scanned_ = 0;
}

}  // namespace holdfast
