// smtp/client/transaction.h — one mail transaction, RFC 5321 section 3.3, from MAIL to the reply to the
// content.
//
// Procedure: the envelope goes out in as few flights as PIPELINING (RFC 2920) allows and each reply is
// matched to its command; then the content as BDAT (RFC 3030) where offered, else as DATA. The content is
// checked while it is sent: if it holds what could end it early, the connection is cut before its end is
// said, so that the peer takes nothing. Every recipient gets the reply that decided about it.
#pragma once

#include "smtp/client/client_session.h"
#include "smtp/client/conversation.h"
#include "smtp/wire/content_check.h"

namespace holdfast {

inline constexpr std::size_t kMaxFlight = 16 * 1024;     // octets of commands that wait for their replies
inline constexpr std::size_t kContentBlock = 64 * 1024;  // DATA goes out in writes of about this size
inline constexpr std::size_t kBdatChunk = 256 * 1024;
// Content up to this size may go with the envelope: what is sent in vain to a peer that refuses is bounded.
inline constexpr std::size_t kMostAtOnce = 64 * 1024;

class Transaction {
 public:
  // All references outlive the transaction. `reset_first`: an earlier transaction was left unfinished.
  Transaction(Conversation& talk, const Extensions& peer, const ClientTimeouts& timeouts,
              const OutgoingMessage& message, BodySource& body, bool reset_first);

  // `at_once`: envelope and content in one flight, by BDAT. The content is then read whatever becomes of the
  // envelope.
  asio::awaitable<TransactionResult> run(bool at_once = false);
  // Whether the next transaction must begin with RSET.
  bool unfinished() const { return mail_taken_ && !ended_; }
  // The peer took the message for somebody.
  bool taken() const { return taken_; }

 private:
  struct Command {
    std::string line;
    Stage stage;
    bool is_reset = false;
    std::size_t recipient = 0;
  };

  Result<std::vector<Command>> prepare() const;
  asio::awaitable<Result<void>> send_envelope(std::vector<Command> commands);
  Result<void> take_reply(const Command& command, Reply reply);
  bool goes_on(const Command& next) const;

  asio::awaitable<Result<void>> send_at_once(std::vector<Command> commands);
  asio::awaitable<Result<std::string>> whole_content(std::size_t room);
  asio::awaitable<Result<void>> hear_reply_at_once();
  asio::awaitable<Result<void>> send_content();
  asio::awaitable<Result<void>> send_data();
  asio::awaitable<Result<void>> send_bdat();
  asio::awaitable<Result<void>> end_empty_data();
  // Whether the peer goes on with the transaction after a chunk that was not the last.
  asio::awaitable<Result<bool>> hear_chunk_reply();
  asio::awaitable<Result<void>> hear_final_reply();

  // Every recipient that has no answer yet gets this one.
  void answer_rest(const Reply& reply, Stage stage);
  Duration time_for(Stage stage) const;

  Conversation& talk_;
  const Extensions& peer_;
  const ClientTimeouts& timeouts_;
  const OutgoingMessage& message_;
  BodySource& body_;
  bool reset_first_;

  TransactionResult result_;
  std::size_t accepted_ = 0;  // recipients taken by RCPT
  bool mail_taken_ = false;
  bool mail_refused_ = false;
  bool data_open_ = false;  // 354 came
  bool ended_ = false;      // the peer answered to the end of the content
  bool taken_ = false;
};

}  // namespace holdfast
