#include "smtp/server/session_io.h"

#include <openssl/crypto.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "config/secret.h"
#include "smtp/base/base_error.h"
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

asio::awaitable<void> SessionIo::read_once() {
  co_await asio::this_coro::throw_if_cancelled(false);
  read_result_.emplace(co_await stream_->read_some(buffer_));
}

// The read is a coroutine of its own, so that it alone can be cancelled; a cancellation of the caller is
// passed on.
asio::awaitable<Result<std::size_t>> SessionIo::read_interruptibly() {
  const auto executor = co_await asio::this_coro::executor;
  auto caller = co_await asio::this_coro::cancellation_state;
  if (caller.cancelled() != asio::cancellation_type::none) co_return BaseError::cancelled;
  auto slot = caller.slot();
  if (slot.is_connected()) slot.assign([this](asio::cancellation_type type) { interrupt_.emit(type); });
  read_result_.reset();
  auto job = read_once();
  auto token = asio::bind_cancellation_slot(interrupt_.slot(), asio::use_awaitable);
  co_await asio::co_spawn(executor, std::move(job), token);
  interrupt_.slot().clear();  // Boost 1.81 leaves the ended coroutine's handler there
  if (slot.is_connected()) slot.clear();
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
  interrupt_.emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> SessionIo::finish() {
  if (!stream_) co_return;  // lost in a failed handshake
  auto sent = co_await flush();
  if (sent && tls_ != nullptr) co_await tls_->say_goodbye();
  stream_->close();
}

}  // namespace holdfast
