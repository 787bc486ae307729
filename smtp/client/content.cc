// The content of a transaction: DATA with dots stuffed (RFC 5321 section 4.5.2), or BDAT (RFC 3030).
#include "smtp/client/client_error.h"
#include "smtp/client/transaction.h"
#include "smtp/wire/dot_stuffer.h"

namespace holdfast {
namespace {

// Room in front of a chunk for "BDAT", its size of up to 20 digits, "LAST" and CRLF.
constexpr std::size_t kBdatRoom = 32;

std::string content_note(std::uint64_t octets) { return "(content, " + std::to_string(octets) + " octets)"; }

}  // namespace

asio::awaitable<Result<void>> Transaction::send_content() {
  if (talk_.left() || !mail_taken_) {
    // A peer that opens DATA behind a refused MAIL waits for content: give it its end.
    if (data_open_ && !talk_.left()) co_return co_await end_empty_data();
    co_return Result<void>();
  }
  if (accepted_ == 0) {
    if (data_open_) co_return co_await end_empty_data();
    co_return Result<void>();
  }
  if (peer_.chunking) co_return co_await send_bdat();
  if (data_open_) co_return co_await send_data();
  co_return Result<void>();  // DATA was refused
}

// DATA was pipelined and opened though nobody was accepted (RFC 2920 section 3.1): an empty message to
// nobody.
asio::awaitable<Result<void>> Transaction::end_empty_data() {
  talk_.limit(timeouts_.data_end);
  auto sent = co_await talk_.send(".\r\n");
  if (!sent) co_return sent.error();
  auto reply = co_await talk_.hear();
  if (!reply) co_return reply.error();
  ended_ = true;
  co_return Result<void>();
}

asio::awaitable<Result<void>> Transaction::send_data() {
  DotStuffer stuffer;
  std::string block;
  std::uint64_t octets = message_.prefix.size();
  auto stuffed = stuffer.stuff(message_.prefix, block);
  if (!stuffed) co_return stuffed.error();
  while (true) {
    auto chunk = co_await body_.next();
    if (!chunk) co_return chunk.error();
    if (chunk->empty()) break;
    octets += chunk->size();
    stuffed = stuffer.stuff(*chunk, block);
    if (!stuffed) co_return stuffed.error();
    if (block.size() < kContentBlock) continue;
    talk_.limit(timeouts_.data_block);
    auto sent = co_await talk_.send(block);
    if (!sent) co_return sent.error();
    block.clear();
  }
  stuffed = stuffer.finish(block);
  if (!stuffed) co_return stuffed.error();
  talk_.transcript().sent(content_note(octets));
  talk_.limit(timeouts_.data_block);
  if (talk_.unread()) co_return Error(ClientError::out_of_turn, "a reply came before the end of the content");
  result_.in_doubt = true;  // from here on the peer may have the whole message
  auto sent = co_await talk_.send(block);
  if (!sent) co_return sent.error();
  co_return co_await hear_final_reply();
}

asio::awaitable<Result<void>> Transaction::send_bdat() {
  ContentCheck check;
  check.feed(message_.prefix);
  std::string block(kBdatRoom, ' ');
  block.reserve(kBdatRoom + std::min<std::uint64_t>(message_.size + message_.prefix.size(), 2 * kBdatChunk));
  block += message_.prefix;
  bool waiting = false;  // for the reply to a chunk
  while (true) {
    auto chunk = co_await body_.next();
    if (!chunk) co_return chunk.error();
    const bool last = chunk->empty();
    check.feed(*chunk);
    if (last) check.finish();
    if (check.violation()) co_return Error(*check.violation(), "content to be sent");
    block += *chunk;
    if (!last && block.size() - kBdatRoom < kBdatChunk) continue;
    if (last && !check.at_line_start()) block += "\r\n";

    // One chunk may be under way while its forerunner's reply is read; the last one goes only when all before
    // it were taken, so that nothing can be accepted in part.
    // Its reply may have come already, together with that to its forerunner.
    if (waiting && (last || !peer_.pipelining || talk_.unread())) {
      auto taken = co_await hear_chunk_reply();
      if (!taken) co_return taken.error();
      if (!*taken) co_return Result<void>();
      waiting = false;
    }
    const std::string command = "BDAT " + std::to_string(block.size() - kBdatRoom) + (last ? " LAST" : "");
    talk_.transcript().sent(command);
    const std::size_t begin = kBdatRoom - command.size() - 2;
    block.replace(begin, command.size() + 2, command + "\r\n");
    talk_.limit(timeouts_.data_block);
    if (talk_.unread()) co_return Error(ClientError::out_of_turn, "a reply came before its chunk");
    if (last) result_.in_doubt = true;
    auto sent = co_await talk_.send(std::string_view(block).substr(begin));
    if (!sent) co_return sent.error();
    if (last) co_return co_await hear_final_reply();
    block.resize(kBdatRoom);
    if (waiting) {
      auto taken = co_await hear_chunk_reply();
      if (!taken) co_return taken.error();
      if (!*taken) {
        // The chunk behind the refused one has its reply coming too.
        if (talk_.left()) co_return Result<void>();
        auto next = co_await talk_.hear();
        if (!next) co_return next.error();
        co_return Result<void>();
      }
    }
    waiting = true;
  }
}

// Behind `room` octets for what goes out in front of it.
asio::awaitable<Result<std::string>> Transaction::whole_content(std::size_t room) {
  ContentCheck check;
  std::string content;
  content.reserve(room + message_.prefix.size() + static_cast<std::size_t>(message_.size) + 2);
  content.assign(room, ' ');
  content += message_.prefix;
  check.feed(message_.prefix);
  while (true) {
    auto chunk = co_await body_.next();
    if (!chunk) co_return chunk.error();
    if (chunk->empty()) break;
    check.feed(*chunk);
    content += *chunk;
    if (content.size() - room > kMostAtOnce)
      co_return Error(ClientError::not_usable, "more content than was said");
  }
  check.finish();
  if (check.violation()) co_return Error(*check.violation(), "content to be sent");
  if (!check.at_line_start()) content += "\r\n";
  co_return std::move(content);
}

// MAIL, RCPT and BDAT LAST in one flight (RFC 3030 section 4.2). The content was looked at before: nothing
// is sent of one that may not be.
asio::awaitable<Result<void>> Transaction::send_at_once(std::vector<Command> commands) {
  std::string head;
  for (const Command& command : commands) head += command.line + "\r\n";
  const std::size_t room = head.size() + kBdatRoom;
  auto content = co_await whole_content(room);
  if (!content) co_return content.error();
  for (const Command& command : commands) talk_.transcript().sent(command.line);
  const std::string bdat = "BDAT " + std::to_string(content->size() - room) + " LAST";
  talk_.transcript().sent(bdat);
  head += bdat + "\r\n";
  const std::size_t begin = room - head.size();
  content->replace(begin, head.size(), head);
  talk_.limit(timeouts_.data_block);
  if (talk_.unread()) co_return Error(ClientError::out_of_turn, "a reply came before its command");
  result_.in_doubt = true;  // a peer may work off all of it before it answers
  auto sent = co_await talk_.send(std::string_view(*content).substr(begin));
  if (!sent) co_return sent.error();
  for (const Command& command : commands) {
    talk_.limit(time_for(command.stage));
    auto reply = co_await talk_.hear();
    if (!reply) co_return reply.error();
    auto taken = take_reply(command, std::move(*reply));
    if (!taken) co_return taken.error();
    if (talk_.left()) {  // 421: it takes nothing any more
      result_.in_doubt = false;
      co_return Result<void>();
    }
  }
  co_return co_await hear_reply_at_once();
}

asio::awaitable<Result<void>> Transaction::hear_reply_at_once() {
  if (mail_taken_ && accepted_ > 0) co_return co_await hear_final_reply();
  // The chunk came to a transaction that is none: its reply has to be a refusal.
  talk_.limit(timeouts_.data_end);
  auto reply = co_await talk_.hear();
  if (!reply) co_return reply.error();
  result_.in_doubt = false;
  if (reply->intermediate() || reply->accepted())
    co_return Error(ClientError::unexpected_reply, "BDAT without recipients: " + reply->summary());
  co_return Result<void>();
}

asio::awaitable<Result<bool>> Transaction::hear_chunk_reply() {
  talk_.limit(timeouts_.data_block);
  auto reply = co_await talk_.hear();
  if (!reply) co_return reply.error();
  if (reply->accepted()) co_return true;
  if (reply->intermediate()) co_return Error(ClientError::unexpected_reply, "BDAT: " + reply->summary());
  answer_rest(*reply, Stage::body);
  co_return false;
}

asio::awaitable<Result<void>> Transaction::hear_final_reply() {
  talk_.limit(timeouts_.data_end);
  auto reply = co_await talk_.hear();
  if (!reply) co_return reply.error();
  if (reply->intermediate()) {
    co_return Error(ClientError::unexpected_reply, "end of content: " + reply->summary());
  }
  result_.in_doubt = false;
  ended_ = true;
  taken_ = reply->accepted();
  answer_rest(*reply, Stage::final_dot);
  co_return Result<void>();
}

}  // namespace holdfast
