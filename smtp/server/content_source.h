// smtp/server/content_source.h — the content of one message as the queue pulls it from the client.
//
// What the content may not be (too large, a bare CR or LF, a NUL, a line too long) turns into a refusal here:
// the source then ends with an Error, so that whoever reads keeps nothing, and refusal() says what to answer.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "config/settings.h"
#include "smtp/base/body_source.h"
#include "smtp/server/session_io.h"
#include "smtp/wire/command.h"
#include "smtp/wire/data_decoder.h"

namespace holdfast {

// How long the client may take: a total that grows with what arrives, so that a drip ends. Time in which we
// are the slow side does not count.
class RateLimit {
 public:
  // `min_rate` in octets per second, 0 = none; `idle` bounds every single wait.
  RateLimit(Clock& clock, Duration idle, std::uint64_t min_rate)
      : clock_(clock), idle_(idle), min_rate_(min_rate) {}

  SteadyTime deadline() const;  // for a wait that begins now
  void waited(SteadyTime since, std::size_t octets);

 private:
  Clock& clock_;
  Duration idle_;
  std::uint64_t min_rate_;
  Duration spent_{0};
  std::uint64_t octets_ = 0;
};

// What both ways of transfer share.
class ContentRules {
 public:
  explicit ContentRules(const LimitsSettings& limits) : limits_(limits) {}

  // Looks at what came; the first reason to refuse stays.
  void look(const ContentCheck& check, std::uint64_t size);
  // Content so far beyond the limit that waiting for its end makes no sense: the connection must go.
  bool hopeless(std::uint64_t size) const;
  const std::optional<Reply>& refusal() const { return refusal_; }

 private:
  LimitsSettings limits_;
  std::optional<Reply> refusal_;
};

// DATA: pulls up to CRLF.CRLF.
class DataSource final : public BodySource {
 public:
  DataSource(SessionIo& io, const LimitsSettings& limits, RateLimit rate, Clock& clock)
      : io_(io), rules_(limits), rate_(rate), clock_(clock) {}

  asio::awaitable<Result<std::string_view>> next() override;

  // Reads the rest away, up to the true end. False: the conversation is over (lost, too slow, far too long).
  asio::awaitable<bool> drain();

  const std::optional<Reply>& refusal() const { return rules_.refusal(); }
  // What broke the conversation.
  const std::optional<Error>& broken() const { return broken_; }
  std::uint64_t size() const { return size_; }

 private:
  asio::awaitable<bool> pull();

  SessionIo& io_;
  ContentRules rules_;
  RateLimit rate_;
  Clock& clock_;
  DataDecoder decoder_;
  std::string content_;  // what the last pull brought
  std::unique_ptr<char[]> buffer_;
  std::size_t buffer_size_ = 0;
  bool full_ = false;  // the last read filled it: more waits
  std::uint64_t size_ = 0;
  std::optional<Error> broken_;
};

// Where the chunks of one BDAT transaction come from, once the first is used up.
class ChunkCommands {
 public:
  virtual ~ChunkCommands() = default;
  // Answers the chunk before (`size` octets) and reads commands up to the next BDAT. An Error ends the
  // transaction.
  virtual asio::awaitable<Result<cmd::Bdat>> next_chunk(std::uint64_t size) = 0;
};

// BDAT (RFC 3030): pulls the octets of the chunks, and further chunks through `commands`.
class ChunkSource final : public BodySource {
 public:
  ChunkSource(SessionIo& io, ChunkCommands& commands, cmd::Bdat first, const LimitsSettings& limits,
              RateLimit rate, Clock& clock)
      : io_(io),
        commands_(commands),
        chunk_(first),
        left_(first.size),
        rules_(limits),
        rate_(rate),
        clock_(clock) {
    look_ahead();
  }

  asio::awaitable<Result<std::string_view>> next() override;

  // Reads the rest of the chunk away. False: the conversation is over.
  asio::awaitable<bool> drain();

  bool complete() const { return chunk_.last && left_ == 0; }
  const std::optional<Reply>& refusal() const { return rules_.refusal(); }
  const std::optional<Error>& broken() const { return broken_; }
  std::uint64_t size() const { return size_; }

 private:
  asio::awaitable<bool> pull();
  // Refuses by what the chunk announces, before it is read.
  void look_ahead();
  std::uint64_t size_with_chunk() const;

  SessionIo& io_;
  ChunkCommands& commands_;
  cmd::Bdat chunk_;
  std::uint64_t left_;  // octets of the chunk still to come
  ContentRules rules_;
  RateLimit rate_;
  Clock& clock_;
  ContentCheck check_;
  std::string content_;
  std::uint64_t size_ = 0;
  std::optional<Error> broken_;
};

}  // namespace holdfast
