#include "smtp/client/transaction.h"

#include "smtp/client/client_error.h"
#include "smtp/client/envelope_commands.h"

namespace holdfast {
namespace {

Error unexpected(const char* command, const Reply& reply) {
  return Error(ClientError::unexpected_reply, std::string(command) + ": " + reply.summary());
}

}  // namespace

Transaction::Transaction(Conversation& talk, const Extensions& peer, const ClientTimeouts& timeouts,
                         const OutgoingMessage& message, BodySource& body, bool reset_first)
    : talk_(talk),
      peer_(peer),
      timeouts_(timeouts),
      message_(message),
      body_(body),
      reset_first_(reset_first) {
  result_.recipients.resize(message.recipients.size());
}

asio::awaitable<TransactionResult> Transaction::run(bool at_once) {
  auto commands = prepare();
  if (!commands) {
    result_.broken = commands.error();  // before a single octet: the session goes on
    co_return std::move(result_);
  }
  std::size_t size = 0;
  for (const Command& command : *commands) size += command.line.size() + 2;
  Result<void> done;
  if (at_once && size <= kMaxFlight) {
    done = co_await send_at_once(std::move(*commands));
  } else {
    done = co_await send_envelope(std::move(*commands));
    if (done) done = co_await send_content();
  }
  if (!done) {
    result_.broken = done.error();
    talk_.close();
  }
  if (talk_.left()) talk_.close();
  co_return std::move(result_);
}

Result<std::vector<Transaction::Command>> Transaction::prepare() const {
  ContentCheck prefix;
  prefix.feed(message_.prefix);
  prefix.finish();
  if (prefix.violation()) return Error(*prefix.violation(), "header fields to be sent");

  std::vector<Command> commands;
  if (reset_first_) commands.push_back({.line = "RSET", .stage = Stage::mail, .is_reset = true});
  auto mail = mail_command(message_, peer_);
  if (!mail) return mail.error();
  commands.push_back({.line = std::move(*mail), .stage = Stage::mail});
  for (std::size_t i = 0; i < message_.recipients.size(); ++i) {
    auto rcpt = rcpt_command(message_.recipients[i], peer_);
    if (!rcpt) return rcpt.error();
    commands.push_back({.line = std::move(*rcpt), .stage = Stage::rcpt, .recipient = i});
  }
  if (!peer_.chunking) commands.push_back({.line = "DATA", .stage = Stage::data});
  return commands;
}

Duration Transaction::time_for(Stage stage) const {
  switch (stage) {
    case Stage::rcpt: return timeouts_.rcpt;
    case Stage::data: return timeouts_.data_start;
    default: return timeouts_.mail;
  }
}

// After replies: whether a command still makes sense.
bool Transaction::goes_on(const Command& next) const {
  if (talk_.left() || mail_refused_) return false;
  return next.stage != Stage::data || accepted_ > 0;
}

asio::awaitable<Result<void>> Transaction::send_envelope(std::vector<Command> commands) {
  std::size_t next = 0;
  while (next < commands.size() && goes_on(commands[next])) {
    // DATA is the last command of a flight, as RFC 2920 section 3.1 has it, since it is the last of all.
    const std::size_t first = next;
    std::string flight;
    do {
      talk_.transcript().sent(commands[next].line);
      flight += commands[next].line + "\r\n";
      ++next;
    } while (peer_.pipelining && next < commands.size() && flight.size() < kMaxFlight);

    talk_.limit(time_for(commands[first].stage));
    auto sent = co_await talk_.send(flight);
    if (!sent) co_return sent.error();
    for (std::size_t i = first; i < next && !talk_.left(); ++i) {
      talk_.limit(time_for(commands[i].stage));
      auto reply = co_await talk_.hear();
      if (!reply) co_return reply.error();
      auto taken = take_reply(commands[i], std::move(*reply));
      if (!taken) co_return taken.error();
    }
  }
  co_return Result<void>();
}

Result<void> Transaction::take_reply(const Command& command, Reply reply) {
  if (talk_.left()) {
    answer_rest(reply, command.stage);
    return {};
  }
  if (command.is_reset) {
    if (!reply.accepted()) return unexpected("RSET", reply);
    return {};
  }
  switch (command.stage) {
    case Stage::mail:
      if (reply.intermediate()) return unexpected("MAIL", reply);
      mail_taken_ = reply.accepted();
      mail_refused_ = !mail_taken_;
      if (mail_refused_) answer_rest(reply, Stage::mail);
      return {};
    case Stage::rcpt:
      if (reply.intermediate()) return unexpected("RCPT", reply);
      if (mail_refused_) return {};  // pipelined behind a refused MAIL: means nothing
      if (reply.accepted()) {
        ++accepted_;
      } else {
        auto& result = result_.recipients[command.recipient];
        result.reply = soften_refusal(std::move(reply), accepted_);
        result.stage = Stage::rcpt;
      }
      return {};
    default:
      // DATA: 354, or a refusal. A 2xx would leave both sides with different ideas of what comes next.
      data_open_ = reply.code == 354;
      if (data_open_) return {};
      if (reply.intermediate() || reply.accepted()) return unexpected("DATA", reply);
      answer_rest(reply, Stage::data);
      return {};
  }
}

void Transaction::answer_rest(const Reply& reply, Stage stage) {
  for (auto& recipient : result_.recipients) {
    if (recipient.reply.code != 0) continue;
    recipient.reply = reply;
    recipient.stage = stage;
  }
}

}  // namespace holdfast
