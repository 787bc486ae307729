// smtp/base/body_source.h — a message body (or any octets) pulled chunk by chunk.
#pragma once

#include <string_view>

#include "smtp/base/asio.h"
#include "smtp/base/result.h"

namespace holdfast {

class BodySource {
 public:
  virtual ~BodySource() = default;
  // The next chunk, valid until the next call; empty at the end. After an error nothing more comes.
  virtual asio::awaitable<Result<std::string_view>> next() = 0;
};

// A body that is already in memory.
class StringBody final : public BodySource {
 public:
  explicit StringBody(std::string text) : text_(std::move(text)) {}
  asio::awaitable<Result<std::string_view>> next() override;

 private:
  std::string text_;
  bool given_ = false;
};

}  // namespace holdfast
