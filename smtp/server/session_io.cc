#include "smtp/server/session_io.h"

#include <openssl/crypto.h>

#include "config/secret.h"
#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "smtp/wire/command.h"

namespace holdfast {
namespace {

// A client that pipelines without end must read its answers in between: bounds what waits to be written.
constexpr std::size_t kMaxHeldReplies = 16 * 1024;

}  // namespace

SessionIo::SessionIo(std::unique_ptr<Stream> stream) : stream_(std::move(stream)), lines_(kMaxAuthLine) {}

void SessionIo::say(const Reply& reply) { out_ += reply.wire(); }

asio::awaitable<Result<void>> SessionIo::flush() {
  if (out_.empty()) co_return Result<void>();
  const std::string text = std::exchange(out_, {});
  co_return co_await stream_->write(text);
}

asio::awaitable<Result<std::string>> SessionIo::line() {
  while (true) {
    if (!lines_.has_line() || out_.size() > kMaxHeldReplies) {
      auto sent = co_await flush();
      if (!sent) co_return sent.error();
    }
    auto next = lines_.next();
    if (!next) co_return next.error();
    if (*next) co_return heap_text(**next);  // a credential may be in it
    if (interrupted_) co_return BaseError::cancelled;
    auto count = co_await read_interruptibly();
    if (!count) co_return count.error();
    lines_.append(std::string_view(buffer_.data(), *count));
  }
}

void SessionIo::forget() {
  lines_.forget();
  OPENSSL_cleanse(buffer_.data(), buffer_.size());
}

asio::awaitable<void> SessionIo::read_once() { read_result_.emplace(co_await stream_->read_some(buffer_)); }

// The read is a coroutine of its own, so that it alone can be cancelled.
asio::awaitable<Result<std::size_t>> SessionIo::read_interruptibly() {
  const bool cancelled = co_await is_cancelled();
  if (cancelled) co_return BaseError::cancelled;
  read_result_.reset();
  auto job = read_once();
  co_await waiting_.run(std::move(job));
  if (!read_result_) co_return BaseError::cancelled;
  co_return *read_result_;
}

asio::awaitable<Result<std::size_t>> SessionIo::read(std::span<char> buffer) {
  auto sent = co_await flush();
  if (!sent) co_return sent.error();
  co_return co_await stream_->read_some(buffer);
}

asio::awaitable<TlsFailure> SessionIo::accept_tls(std::shared_ptr<const TlsServerContext> context) {
  auto sent = co_await flush();
  lines_.clear();
  if (!sent) {
    stream_->close();
    TlsFailure failure;
    failure.error = TlsError::connection_lost;
    failure.detail = sent.error().text();
    co_return failure;
  }
  TlsHandshake handshake = co_await tls_accept(std::move(stream_), std::move(context));
  if (handshake.failure || !handshake.stream) co_return handshake.failure;
  tls_ = handshake.stream.get();
  stream_ = std::move(handshake.stream);
  co_return TlsFailure();
}

void SessionIo::close() {
  if (stream_) stream_->close();
}

void SessionIo::interrupt() {
  interrupted_ = true;
  waiting_.interrupt();
}

asio::awaitable<void> SessionIo::finish() {
  if (!stream_) co_return;  // lost in a failed handshake
  auto sent = co_await flush();
  if (sent && tls_ != nullptr) co_await tls_->say_goodbye();
  stream_->close();
}

}  // namespace holdfast
