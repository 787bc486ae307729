#include "smtp/server/submission_session.h"

#include <fmt/format.h>

#include "config/secret.h"
#include "smtp/base/base_error.h"
#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

// A client in working order makes none; one that guesses or floods is let go. One that has logged in may have
// a long list of recipients with many bad ones.
constexpr unsigned kMaxErrors = 20;
constexpr unsigned kMaxErrorsOfUser = 200;
// Under pressure waits are this much shorter, but never under kShortestIdle.
constexpr int kPressureFactor = 6;
constexpr Duration kShortestIdle = std::chrono::seconds(10);
// A 421 that takes longer is not read.
constexpr Duration kFarewellLimit = std::chrono::seconds(2);

bool is_line_error(const Error& error) {
  return error.is(WireError::line_too_long) || error.is(WireError::bare_cr) || error.is(WireError::bare_lf) ||
         error.is(WireError::nul);
}

}  // namespace

SubmissionSession::SubmissionSession(std::unique_ptr<Stream> stream, SettingsPtr settings,
                                     ListenerSettings listener, SessionServices services)
    : settings_(std::move(settings)),
      listener_(std::move(listener)),
      services_(services),
      io_(std::move(stream)),
      peer_(io_.stream().remote()),
      started_(services_.clock.now()) {}

asio::awaitable<void> SubmissionSession::run() {
  auto whole = run_whole();
  co_await whole_.run(std::move(whole));
}

asio::awaitable<void> SubmissionSession::run_whole() {
  const bool opened = co_await open();
  if (opened) co_await converse();
  if (!lost_) co_await io_.finish();
}

asio::awaitable<bool> SubmissionSession::open() {
  io_.stream().set_deadline(services_.clock.now() + std::min<Duration>(idle_timeout(), kHandshakeLimit));
  if (io_.interrupted()) {
    take_leave(BaseError::cancelled);
    co_return false;
  }
  if (listener_.mode == ListenerMode::submissions) {
    const bool secured = co_await accept_tls();
    if (!secured) co_return false;
  }
  const auto& trusted = settings_->auth.trusted_networks;
  if (listener_.mode == ListenerMode::trusted &&
      std::none_of(trusted.begin(), trusted.end(),
                   [&](const Network& network) { return network.contains(peer_.ip); })) {
    refuse(Reason::untrusted, 554,
           fmt::format("5.7.1 This port takes mail from trusted networks only, and {} is in none of them",
                       peer_.text()));
    co_return true;
  }
  io_.say(make_reply(220, settings_->hostname + " ESMTP Holdfast"));
  co_return true;
}

asio::awaitable<void> SubmissionSession::converse() {
  while (!finished_) {
    // Cut off at MAIL, there is a transaction by now, but what becomes of it could not be told any more.
    if (io_.interrupted() && (cut_ || !transaction_)) {
      take_leave(BaseError::cancelled);
      co_return;
    }
    std::string line;
    if (pending_line_) {
      line = *std::exchange(pending_line_, std::nullopt);
    } else {
      io_.stream().set_deadline(command_deadline());
      auto read = co_await io_.line();
      if (!read && is_line_error(read.error())) {
        handle_bad_line(read.error());
        continue;
      }
      if (!read) {
        take_leave(read.error());
        co_return;
      }
      line = std::move(*read);
    }
    if (line.size() > kMaxCommandLine && parse_verb(line) != Verb::auth) {
      refuse(Reason::syntax, 500, fmt::format("5.5.2 Command line longer than {} octets", kMaxCommandLine));
      continue;
    }
    Command command = parse_command(line);
    if (std::holds_alternative<cmd::Auth>(command)) wipe(line);
    co_await handle(std::move(command));
  }
}

asio::awaitable<void> SubmissionSession::handle(Command command) {
  if (auto* auth = std::get_if<cmd::Auth>(&command)) {
    co_await authenticate(std::move(*auth));
  } else if (std::holds_alternative<cmd::StartTls>(command)) {
    co_await start_tls();
  } else if (std::holds_alternative<cmd::Data>(command)) {
    co_await receive_data();
  } else if (auto* bdat = std::get_if<cmd::Bdat>(&command)) {
    co_await receive_chunks(*bdat);
  } else {
    if (identity_ && std::holds_alternative<cmd::Mail>(command)) co_await renew_identity();
    answer_at_once(command);
  }
}

void SubmissionSession::answer_at_once(const Command& command) {
  std::visit(
      [this](const auto& known) {
        if constexpr (requires { this->answer(known); }) this->answer(known);
      },
      command);
}

// The octets may have been meant as several commands (RFC 5321 section 2.3.8), so no transaction goes on
// behind them.
void SubmissionSession::handle_bad_line(const Error& error) {
  reset();
  if (error.is(WireError::line_too_long)) {
    refuse(Reason::syntax, 500, fmt::format("5.5.6 Line longer than {} octets", kMaxAuthLine));
  } else {
    refuse(Reason::syntax, 500,
           fmt::format("5.5.2 Command with {}; end lines with CRLF only", error.code.message()));
  }
}

// Waiting for a command ended without one.
void SubmissionSession::take_leave(const Error& error) {
  finished_ = true;
  if (error.is(BaseError::cancelled) && io_.interrupted()) {
    refuse(Reason::shutdown, 421, "4.3.2 The relay is shutting down; try again in a moment");
    io_.stream().set_deadline(services_.clock.now() + kFarewellLimit);
    // Who expects a handshake cannot read it.
    lost_ = listener_.mode == ListenerMode::submissions && !is_tls();
    if (lost_) io_.close();
    return;
  }
  lost_ = true;
  if (error.is(BaseError::timed_out)) count_refusal(Reason::timeout);
  services_.log.debug("session ended", Fields().add("ip", peer_.text()).add("why", error.text()));
  io_.close();
}

void SubmissionSession::request_stop() {
  const bool polite = io_.is_waiting() || transaction_ || telling_;
  io_.interrupt();
  if (polite) return;
  cut_ = true;
  whole_.interrupt();
}

void SubmissionSession::count_refusal(Reason reason) {
  services_.metrics.counter("submission_rejections_total", {{"reason", name(reason)}}).add();
}

void SubmissionSession::refuse(const Refusal& refusal) {
  const Reply& reply = refusal.reply;
  io_.say(reply);
  count_refusal(refusal.reason);
  Fields fields;
  fields.add("ip", peer_.text()).add("listener", listener_.bind.text()).add("reason", name(refusal.reason));
  if (identity_) fields.add("user", identity_->user);
  if (transaction_)
    fields.add_address("from", transaction_->reverse_path.empty() ? "" : transaction_->reverse_path.text());
  fields.add("code", reply.code);
  if (auto enhanced = reply.enhanced()) fields.add("enhanced", enhanced->text());
  fields.add("reply", reply.summary());
  services_.log.event("rejected", fields);
  if (refusal.reason == Reason::untrusted || refusal.reason == Reason::shutdown) finished_ = true;
  const unsigned limit = identity_ || !needs_auth() ? kMaxErrorsOfUser : kMaxErrors;
  if (!is_client_error(refusal.reason) || ++errors_ < limit || finished_) return;
  finished_ = true;
  this->refuse(Reason::errors, 421, "4.7.0 Too many errors; check the client and connect again");
}

Duration SubmissionSession::idle_timeout() const {
  const Duration idle = listener_.idle_timeout;
  const bool pressed =
      services_.under_pressure != nullptr && services_.under_pressure->load(std::memory_order_relaxed);
  return pressed ? std::min(idle, std::max<Duration>(idle / kPressureFactor, kShortestIdle)) : idle;
}

// One wait for a command, and one for all of them together until the client has said who it is.
SteadyTime SubmissionSession::command_deadline() const {
  const SteadyTime until = services_.clock.now() + idle_timeout();
  return needs_auth() && !identity_ ? std::min(until, started_ + idle_timeout()) : until;
}

}  // namespace holdfast
