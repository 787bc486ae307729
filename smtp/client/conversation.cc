#include "smtp/client/conversation.h"

#include <array>

#include "smtp/base/base_error.h"
#include "smtp/client/client_error.h"

namespace holdfast {

bool is_one_line(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

Conversation::Conversation(std::unique_ptr<Stream> stream, Clock& clock)
    : stream_(std::move(stream)), clock_(clock), lines_(kMaxReplyLine) {}

void Conversation::limit(Duration time) {
  if (stream_) stream_->set_deadline(clock_.now() + time);
}

void Conversation::close() {
  if (stream_) stream_->close();
  stream_.reset();
}

Error Conversation::broken(Error why) {
  transcript_.note(why.text());
  close();
  return why;
}

asio::awaitable<Result<void>> Conversation::send(std::string_view octets) {
  if (!stream_) co_return Error(ClientError::not_usable, "the connection is closed");
  if (unread()) co_return broken(Error(ClientError::out_of_turn, sanitise(lines_.rest(), 80)));
  auto sent = co_await stream_->write(octets);
  if (!sent) co_return broken(sent.error());
  co_return Result<void>();
}

asio::awaitable<Result<void>> Conversation::say(std::string command, std::string shown) {
  if (!is_one_line(command))
    co_return Error(BaseError::malformed, "a command may not hold control characters");
  transcript_.sent(shown.empty() ? command : shown);
  command += "\r\n";
  co_return co_await send(command);
}

asio::awaitable<Result<Reply>> Conversation::hear() {
  ReplyParser parser;
  while (true) {
    if (!stream_) co_return Error(ClientError::not_usable, "the connection is closed");
    auto line = lines_.next();
    // A peer whose line ends are unclear could be misread: RFC 5321 section 2.3.8 knows CRLF only.
    if (!line) co_return broken(Error(line.error().code, "in a reply: " + line.error().detail));
    if (*line) {
      auto reply = parser.feed(**line);
      if (!reply) co_return broken(reply.error());
      if (!*reply) continue;
      left_ = left_ || (*reply)->code == 421;  // RFC 5321 section 3.8: the peer is closing
      last_heard_ = clock_.now();
      transcript_.heard(**reply);
      co_return std::move(**reply);
    }
    std::array<char, 2048> buffer;
    auto count = co_await stream_->read_some(buffer);
    if (!count) co_return broken(count.error());
    lines_.append(std::string_view(buffer.data(), *count));
  }
}

asio::awaitable<Result<Reply>> Conversation::ask(std::string command, std::string shown) {
  auto said = co_await say(std::move(command), std::move(shown));
  if (!said) co_return said.error();
  co_return co_await hear();
}

}  // namespace holdfast
