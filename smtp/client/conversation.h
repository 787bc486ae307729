// smtp/client/conversation.h — commands out, replies in, over one stream: bounded, timed, written down.
//
// Every command that is said is checked to be one clean line; every reply is read to its last line. After an
// error the stream is closed and each further call fails.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "smtp/base/stream.h"
#include "smtp/client/transcript.h"
#include "smtp/wire/line_buffer.h"
#include "smtp/wire/reply.h"

namespace holdfast {

class Conversation {
 public:
  // `clock` outlives the conversation.
  Conversation(std::unique_ptr<Stream> stream, Clock& clock);

  // From now on, for all that follows until the next limit.
  void limit(Duration time);

  // Sends octets that are complete lines or content. Error out_of_turn when the peer has said something that
  // nobody asked for.
  asio::awaitable<Result<void>> send(std::string_view octets);
  // One command without CRLF; `shown` stands in the transcript in its place when not empty.
  asio::awaitable<Result<void>> say(std::string command, std::string shown = {});
  // The next reply. A 421 is a reply too, and marks the conversation as left.
  asio::awaitable<Result<Reply>> hear();
  asio::awaitable<Result<Reply>> ask(std::string command, std::string shown = {});

  bool open() const { return stream_ != nullptr; }
  bool left() const { return left_; }
  bool unread() const { return !lines_.rest().empty(); }

  // For STARTTLS: hands the stream over, with nothing read ahead, and takes the encrypted one.
  std::unique_ptr<Stream> release() { return std::move(stream_); }
  void adopt(std::unique_ptr<Stream> stream) { stream_ = std::move(stream); }

  Duration quiet_for() const { return clock_.now() - last_heard_; }  // since the last reply

  void close();
  Stream* stream() { return stream_.get(); }
  Transcript& transcript() { return transcript_; }
  const Transcript& transcript() const { return transcript_; }

 private:
  Error broken(Error why);

  std::unique_ptr<Stream> stream_;
  Clock& clock_;
  LineBuffer lines_;
  Transcript transcript_;
  SteadyTime last_heard_{};
  bool left_ = false;
};

// Whether `text` may stand in a command: no control characters (invariant 28).
bool is_one_line(std::string_view text);

}  // namespace holdfast
