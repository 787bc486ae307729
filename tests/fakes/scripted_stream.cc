#include "tests/fakes/scripted_stream.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cstring>
#include <deque>
#include <optional>

#include "smtp/base/base_error.h"
#include "smtp/base/deadline.h"
#include "smtp/base/notifier.h"

namespace holdfast {
namespace {

Peer loopback(std::uint16_t port) {
  Peer peer;
  peer.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  peer.port = port;
  return peer;
}

std::size_t take(std::string& from, std::span<char> to) {
  const auto count = std::min(from.size(), to.size());
  std::memcpy(to.data(), from.data(), count);
  from.erase(0, count);
  return count;
}

}  // namespace

struct ScriptedStream::Script {
  std::deque<std::string> replies;
  StreamFault fault;
  std::string written;
  std::size_t steps = 0;
  std::size_t deadlines = 0;
  std::optional<BaseError> ended;
  bool closed = false;
  Peer local = loopback(40000), remote = loopback(25);

  // The fault of this step, or what ended the stream before.
  std::optional<BaseError> step(bool reading) {
    if (ended) return ended;
    if (steps++ != fault.step) return std::nullopt;
    switch (fault.kind) {
      case StreamFault::Kind::none: break;
      case StreamFault::Kind::cut: ended = reading ? BaseError::closed : BaseError::reset; break;
      case StreamFault::Kind::reset: ended = BaseError::reset; break;
      case StreamFault::Kind::timeout: ended = BaseError::timed_out; break;
    }
    return ended;
  }
};

namespace {

class Scripted final : public Stream {
 public:
  explicit Scripted(std::shared_ptr<ScriptedStream::Script> script) : script_(std::move(script)) {}
  ~Scripted() override { close(); }

  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    if (const auto error = script_->step(true)) co_return *error;
    if (script_->replies.empty()) co_return BaseError::closed;
    const auto count = take(script_->replies.front(), buffer);
    if (script_->replies.front().empty()) script_->replies.pop_front();
    co_return count;
  }

  asio::awaitable<Result<void>> write(std::string_view data) override {
    if (const auto error = script_->step(false)) co_return *error;
    script_->written += data;
    co_return Result<void>();
  }

  void set_deadline(SteadyTime) override { ++script_->deadlines; }
  void close() override {
    script_->closed = true;
    if (!script_->ended) script_->ended = BaseError::closed;
  }
  Peer local() const override { return script_->local; }
  Peer remote() const override { return script_->remote; }

 private:
  std::shared_ptr<ScriptedStream::Script> script_;
};

// One direction of a pair.
struct Pipe {
  std::string data;
  std::size_t capacity = 0;
  bool finished = false;  // the writing side is closed
  bool broken = false;    // the reading side is closed
  Notifier changed;
};

class PairedStream final : public Stream {
 public:
  PairedStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Executor executor, Clock& clock,
               std::uint16_t local, std::uint16_t remote)
      : in_(std::move(in)),
        out_(std::move(out)),
        local_(loopback(local)),
        remote_(loopback(remote)),
        deadline_(clock, std::move(executor), [this] { end(BaseError::timed_out); }) {}
  ~PairedStream() override { end(BaseError::closed); }

  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    const auto in = in_;
    for (;;) {
      if (ended_) co_return *ended_;
      if (!in->data.empty()) break;
      if (in->finished) co_return BaseError::closed;
      const bool notified = co_await in->changed.wait();
      if (!notified) co_return BaseError::cancelled;
    }
    const auto count = take(in->data, buffer);
    in->changed.notify();
    co_return count;
  }

  asio::awaitable<Result<void>> write(std::string_view data) override {
    const auto out = out_;
    while (!data.empty()) {
      if (ended_) co_return *ended_;
      if (out->broken) co_return BaseError::reset;
      if (out->data.size() >= out->capacity) {
        const bool notified = co_await out->changed.wait();
        if (!notified) co_return BaseError::cancelled;
        continue;
      }
      const auto count = std::min(data.size(), out->capacity - out->data.size());
      out->data += data.substr(0, count);
      data.remove_prefix(count);
      out->changed.notify();
    }
    co_return Result<void>();
  }

  void set_deadline(SteadyTime at) override {
    if (!ended_) deadline_.set(at);
  }
  void close() override { end(BaseError::closed); }
  Peer local() const override { return local_; }
  Peer remote() const override { return remote_; }

 private:
  void end(BaseError why) {
    if (ended_) return;
    ended_ = why;
    deadline_.clear();
    out_->finished = true;
    in_->broken = true;
    in_->changed.notify();
    out_->changed.notify();
  }

  std::shared_ptr<Pipe> in_, out_;
  Peer local_, remote_;
  std::optional<BaseError> ended_;
  Deadline deadline_;
};

}  // namespace

ScriptedStream ScriptedStream::raw(std::vector<std::string> octets, StreamFault fault) {
  ScriptedStream scripted;
  scripted.script_ = std::make_shared<Script>();
  scripted.script_->replies.assign(octets.begin(), octets.end());
  scripted.script_->fault = fault;
  return scripted;
}

ScriptedStream::ScriptedStream(std::vector<std::string> replies, StreamFault fault) {
  for (auto& reply : replies) {
    if (!reply.ends_with("\r\n")) reply += "\r\n";
  }
  *this = raw(std::move(replies), fault);
}

std::unique_ptr<Stream> ScriptedStream::stream() { return std::make_unique<Scripted>(script_); }
const std::string& ScriptedStream::written() const { return script_->written; }

std::vector<std::string> ScriptedStream::written_lines() const {
  std::vector<std::string> lines;
  std::string_view rest = script_->written;
  while (!rest.empty()) {
    const auto end = rest.find("\r\n");
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 2);
  }
  return lines;
}

std::size_t ScriptedStream::steps() const { return script_->steps; }
std::size_t ScriptedStream::unread() const { return script_->replies.size(); }
bool ScriptedStream::closed() const { return script_->closed; }
std::size_t ScriptedStream::deadlines() const { return script_->deadlines; }

void ScriptedStream::set_peers(Peer local, Peer remote) {
  script_->local = local;
  script_->remote = remote;
}

StreamPair make_stream_pair(Executor executor, Clock& clock, std::size_t capacity) {
  auto up = std::make_shared<Pipe>();
  auto down = std::make_shared<Pipe>();
  up->capacity = down->capacity = capacity;
  StreamPair pair;
  pair.client =
      std::make_unique<PairedStream>(down, up, executor, clock, std::uint16_t{40000}, std::uint16_t{25});
  pair.server =
      std::make_unique<PairedStream>(up, down, executor, clock, std::uint16_t{25}, std::uint16_t{40000});
  return pair;
}

}  // namespace holdfast
