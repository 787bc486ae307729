// DATA (RFC 5321 section 4.1.1.4) and BDAT (RFC 3030): the body on its way into the queue.
#include <fmt/format.h>

#include "smtp/base/base_error.h"
#include "smtp/server/submission_session.h"
#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

// Reading away what cannot be taken is a service to users; others get no more than a small chunk of it.
constexpr std::uint64_t kMaxChunkOfStranger = 64 * 1024;

}  // namespace

// Passes the content on, and asks at its end whether the user may still send: a transfer can take an hour,
// and what is refused here the queue never had.
class SubmissionSession::LastLook final : public BodySource {
 public:
  LastLook(SubmissionSession& session, BodySource& content) : session_(session), content_(content) {}

  asio::awaitable<Result<std::string_view>> next() override {
    auto chunk = co_await content_.next();
    if (!chunk || !chunk->empty()) co_return chunk;
    gone_ = co_await session_.why_no_longer();
    if (gone_) co_return Error(BaseError::not_permitted, gone_->reply.summary());
    co_return chunk;
  }
  const std::optional<Refusal>& gone() const { return gone_; }

 private:
  SubmissionSession& session_;
  BodySource& content_;
  std::optional<Refusal> gone_;
};

RateLimit SubmissionSession::rate_limit() const {
  return RateLimit(services_.clock, idle_timeout(), listener_.min_rate);
}

// What DATA and the first BDAT need. Rates are taken here, once the number of recipients is known.
asio::awaitable<std::optional<Refusal>> SubmissionSession::why_no_content() {
  if (!transaction_) co_return Refusal{Reason::sequence, make_reply(503, "5.5.1 Say MAIL first")};
  const std::uint64_t recipients = transaction_->recipients.size();
  if (recipients == 0)
    co_return Refusal{Reason::sequence, make_reply(554, "5.5.1 No recipient was accepted; say RCPT first")};
  if (!identity_ || services_.quota == nullptr) co_return std::nullopt;
  struct Claim {
    const char* what;
    Rate rate;
    std::uint64_t count;
  };
  // Messages first: what is taken is not given back when the other is refused, and a client that tries again
  // and again should lose little by it.
  const Claim claims[] = {{"messages", identity_->messages, 1},
                          {"recipients", identity_->recipients, recipients}};
  for (const Claim& claim : claims) {
    if (claim.rate.unlimited()) continue;
    std::string key = fmt::format("user/{}/{}", identity_->user, claim.what);
    auto taken = co_await services_.quota->take(std::move(key), claim.rate, claim.count);
    if (!taken) {
      services_.log.error("the rate of a user could not be looked up",
                          Fields().add("why", taken.error().text()));
      co_return Refusal{Reason::queue,
                        make_reply(451, "4.3.0 The relay cannot check your rate right now; try again")};
    }
    if (!*taken) {
      co_return Refusal{
          Reason::rate,
          make_reply(450, fmt::format("4.7.1 User {} has sent too many {} for now; try again later",
                                      identity_->user, claim.what))};
    }
  }
  co_return std::nullopt;
}

// As at MAIL, but a name that is gone may be so for the moment in which the users file is written: that does
// not bounce a message which was let in. The next MAIL refuses whoever was removed.
asio::awaitable<std::optional<Refusal>> SubmissionSession::why_no_longer() {
  if (!identity_) co_return std::nullopt;
  const Standing standing = co_await services_.authenticator.standing_of(identity_->user);
  switch (standing) {
    case Standing::good: co_return std::nullopt;
    case Standing::suspended:
      co_return Refusal{Reason::auth_required, make_reply(530, "5.7.0 Log in by AUTH first")};
    case Standing::unknown: break;
  }
  co_return Refusal{Reason::auth_unavailable,
                    make_reply(451, "4.7.0 Your user is not known right now; try again in a moment")};
}

void SubmissionSession::conclude_message(const Result<Acceptance>& outcome,
                                         const std::optional<Reply>& refusal,
                                         const std::optional<Refusal>& gone) {
  if (refusal) {
    const bool size = refusal->code == 552;
    refuse(Refusal{size ? Reason::size : Reason::content, *refusal});
  } else if (gone) {
    refuse(*gone);
    if (gone->reason == Reason::auth_required) identity_.reset();
  } else if (!outcome) {
    services_.log.error("the queue failed to take a message", Fields().add("why", outcome.error().text()));
    refuse(Reason::queue, 451, "4.3.0 The message could not be stored; try again later");
  } else if (outcome->id) {
    errors_ = 0;
    watch_volume();
    io_.say(make_reply(250, "2.0.0 Ok: queued as " + outcome->id->text()));
  } else {
    refuse(Refusal{Reason::queue, outcome->refusal});
  }
  reset();
}

// Told, not refused: the rates of a user are the limit, this is the eye on it. A stolen password shows here.
void SubmissionSession::watch_volume() {
  if (!identity_ || services_.volumes == nullptr) return;
  const auto unusual = services_.volumes->count(identity_->user, transaction_->recipients.size(),
                                                settings_->auth.unusual_volume, services_.clock.now());
  if (!unusual) return;
  services_.metrics.counter("submission_unusual_volume_total").add();
  Fields fields;
  fields.add("user", identity_->user).add("ip", peer_.text()).add("listener", listener_.bind.text());
  fields.add("recipients", unusual->recipients).add("busiest_hour", unusual->busiest);
  services_.log.event("unusual_volume", fields);
}

asio::awaitable<void> SubmissionSession::receive_data() {
  auto why = co_await why_no_content();
  if (why) co_return refuse(*why);
  io_.say(make_reply(354, "Send the message, end it with a dot on a line of its own"));
  DataSource source(io_, settings_->limits, rate_limit(), services_.clock);
  LastLook content(*this, source);
  Envelope envelope = *transaction_;
  Result<Acceptance> outcome = co_await services_.sink.accept(std::move(envelope), content);
  const bool drained = co_await source.drain();
  if (source.broken()) co_return take_leave(*source.broken());
  conclude_message(outcome, source.refusal(), content.gone());
  if (!drained) finished_ = true;
  co_await tell_outcome();
}

// The one reply that a client must not be left waiting for: until it has it, it holds a copy of its own.
asio::awaitable<void> SubmissionSession::tell_outcome() {
  telling_ = true;
  io_.stream().set_deadline(command_deadline());
  auto sent = co_await io_.flush();
  telling_ = false;
  if (!sent) take_leave(sent.error());
}

// A chunk that cannot be taken is read all the same: its octets are not commands.
asio::awaitable<bool> SubmissionSession::drain_chunk(cmd::Bdat chunk) {
  chunk.last = true;  // of this reading
  ChunkSource source(io_, *this, chunk, settings_->limits, rate_limit(), services_.clock);
  const bool drained = co_await source.drain();
  if (source.broken()) take_leave(*source.broken());
  co_return drained;
}

asio::awaitable<void> SubmissionSession::receive_chunks(cmd::Bdat first) {
  auto why = co_await why_no_content();
  if (why) {
    const bool stranger = needs_auth() && !identity_;
    bool drained = false;
    if (!stranger || first.size <= kMaxChunkOfStranger) drained = co_await drain_chunk(first);
    if (lost_) co_return;
    if (!drained) finished_ = true;
    refuse(*why);
    // RFC 3030 section 2: the transaction has failed. In one still open, the next chunk, which a client that
    // pipelines has sent already, would be taken for the beginning of the message.
    co_return reset();
  }
  ChunkSource source(io_, *this, first, settings_->limits, rate_limit(), services_.clock);
  LastLook content(*this, source);
  Envelope envelope = *transaction_;
  Result<Acceptance> outcome = co_await services_.sink.accept(std::move(envelope), content);
  if (std::exchange(chunks_abandoned_, false)) co_return reset();
  const bool drained = co_await source.drain();
  if (source.broken()) co_return take_leave(*source.broken());
  conclude_message(outcome, source.refusal(), content.gone());
  if (!drained) finished_ = true;
  co_await tell_outcome();
}

// Between two chunks. RSET, EHLO, HELO and QUIT end the transaction (RFC 3030 section 2, RFC 5321
// section 4.1.4); MAIL, RCPT, DATA and the like are out of place; the rest is answered as ever. An Error with
// chunks_abandoned_ set means that the client was answered, or will be, and the conversation goes on.
asio::awaitable<Result<cmd::Bdat>> SubmissionSession::next_chunk(std::uint64_t size) {
  io_.say(make_reply(250, fmt::format("2.0.0 {} octets received", size)));
  while (true) {
    io_.stream().set_deadline(command_deadline());
    auto line = co_await io_.line();
    if (!line && line.error().code.category() != to_error_code(WireError::malformed).category())
      co_return line.error();
    if (!line) {
      handle_bad_line(line.error());
      chunks_abandoned_ = true;
      co_return Error(BaseError::malformed, "a bad line between two chunks");
    }
    Command command = parse_command(*line);
    if (auto* bdat = std::get_if<cmd::Bdat>(&command)) co_return *bdat;
    const bool ends = std::holds_alternative<cmd::Hello>(command) ||
                      std::holds_alternative<cmd::Rset>(command) ||
                      std::holds_alternative<cmd::Quit>(command);
    if (ends) {
      chunks_abandoned_ = true;
      pending_line_ = std::move(*line);
      co_return Error(BaseError::cancelled, "the client gave the message up");
    }
    const bool neutral =
        std::holds_alternative<cmd::Noop>(command) || std::holds_alternative<cmd::Help>(command) ||
        std::holds_alternative<cmd::Vrfy>(command) || std::holds_alternative<cmd::Expn>(command) ||
        std::holds_alternative<cmd::Bad>(command);
    if (neutral) {
      answer_at_once(command);
    } else {
      refuse(Reason::sequence, 503, "5.5.1 A message is under way by BDAT; go on with BDAT or say RSET");
    }
    if (finished_) {
      chunks_abandoned_ = true;
      co_return Error(BaseError::cancelled, "the session ends");
    }
  }
}

}  // namespace holdfast
