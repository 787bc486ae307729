// smtp/server/submission_session.h — one client, from the greeting to QUIT (RFC 5321, 6409).
//
// Procedure: greet (after TLS where the listener says so), then command by command. What a command needs is
// checked in one order: hello, TLS, authentication, transaction. A refused command leaves the session as it
// was, but a refused BDAT ends the transaction; what does so (RSET, EHLO, STARTTLS, the end of a message,
// accepted or not) does it in reset() alone. Every refusal is logged and counted with its reason. The body
// streams from the client into MessageSink; whether the user may still send is asked again at its end.
//
// How it fails: a client that breaks rules is answered and, after kMaxErrors, let go with 421; a client that
// is too slow or gone ends the session without another word, and nothing of its message is kept.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "config/settings.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/message_sink.h"
#include "smtp/server/authenticator.h"
#include "smtp/server/content_source.h"
#include "smtp/server/quota.h"
#include "smtp/server/refusal.h"
#include "smtp/server/server_tls.h"
#include "smtp/server/session_io.h"
#include "smtp/server/volume_watch.h"
#include "smtp/wire/command.h"

namespace holdfast {

// All of it outlives the session.
struct SessionServices {
  MessageSink& sink;
  Authenticator& authenticator;
  const ServerTls& tls;
  Clock& clock;
  Log& log;
  Metrics& metrics;
  Quota* quota = nullptr;                             // nullptr: rates of users are not kept
  const std::atomic<bool>* under_pressure = nullptr;  // near the connection limit: waits get shorter
  VolumeWatch* volumes = nullptr;                     // nullptr: nobody is watched
};

// A TLS handshake with a client may take as long, and no longer than an idle session.
inline constexpr Duration kHandshakeLimit = std::chrono::seconds(60);

class SubmissionSession final : private ChunkCommands {
 public:
  SubmissionSession(std::unique_ptr<Stream> stream, SettingsPtr settings, ListenerSettings listener,
                    SessionServices services);

  // Returns once the connection is closed.
  asio::awaitable<void> run();

  // Ends the session. Between two commands it says 421; with a transaction under way it does so once that
  // message is finished, or at the next wait for a command; in the midst of anything else, be it a handshake
  // or the delay after a failed login, the connection is cut. On the session's executor.
  void request_stop();

 private:
  enum class Hello { none, helo, ehlo };

  // submission_session.cc: the conversation
  asio::awaitable<void> run_whole();
  asio::awaitable<bool> open();
  asio::awaitable<void> converse();
  asio::awaitable<void> handle(Command command);
  void answer_at_once(const Command& command);
  void handle_bad_line(const Error& error);
  void take_leave(const Error& error);
  void reset() { transaction_.reset(); }
  void count_refusal(Reason reason);
  void refuse(const Refusal& refusal);
  void refuse(Reason reason, int code, std::string text) {
    refuse(Refusal{reason, make_reply(code, std::move(text))});
  }
  SteadyTime command_deadline() const;
  Duration idle_timeout() const;
  bool is_tls() const { return io_.tls() != nullptr; }
  bool needs_auth() const { return listener_.mode != ListenerMode::trusted; }

  // submission_commands.cc: what needs no waiting
  void answer(const cmd::Hello& hello);
  void answer(const cmd::Mail& mail);
  void answer(const cmd::Rcpt& rcpt);
  void answer(const cmd::Bad& bad);
  void answer(const cmd::Rset&);
  void answer(const cmd::Noop&);
  void answer(const cmd::Quit&);
  void answer(const cmd::Vrfy&);
  void answer(const cmd::Expn&);
  void answer(const cmd::Help&);
  std::vector<std::string> offered_extensions() const;
  std::vector<std::string> offered_mechanisms() const;
  std::optional<Refusal> why_no_mail(const cmd::Mail& mail) const;
  std::optional<Refusal> why_no_hold(const MailParameters& parameters) const;
  TraceInfo trace(bool smtputf8) const;
  std::uint64_t recipient_limit() const;

  // submission_auth.cc
  asio::awaitable<void> start_tls();
  asio::awaitable<bool> accept_tls();
  asio::awaitable<void> authenticate(cmd::Auth auth);
  asio::awaitable<void> renew_identity();
  asio::awaitable<void> conclude_auth(std::string mechanism, SteadyTime asked, AuthResult result);

  // submission_content.cc
  asio::awaitable<void> receive_data();
  asio::awaitable<void> receive_chunks(cmd::Bdat first);
  asio::awaitable<std::optional<Refusal>> why_no_content();
  class LastLook;
  asio::awaitable<std::optional<Refusal>> why_no_longer();
  asio::awaitable<bool> drain_chunk(cmd::Bdat chunk);
  asio::awaitable<Result<cmd::Bdat>> next_chunk(std::uint64_t size) override;
  void conclude_message(const Result<Acceptance>& outcome, const std::optional<Reply>& refusal,
                        const std::optional<Refusal>& gone);
  asio::awaitable<void> tell_outcome();
  void watch_volume();
  RateLimit rate_limit() const;

  SettingsPtr settings_;
  ListenerSettings listener_;
  SessionServices services_;
  SessionIo io_;
  Interruptible whole_;
  Peer peer_;
  SteadyTime started_;

  Hello hello_ = Hello::none;
  std::string helo_name_;
  std::optional<Identity> identity_;
  std::optional<Envelope> transaction_;
  std::optional<std::string> pending_line_;  // read while chunks were expected; still to be handled
  bool chunks_abandoned_ = false;            // a transaction by BDAT was given up between two chunks
  unsigned errors_ = 0;
  unsigned auth_failures_ = 0;
  bool telling_ = false;  // what became of a message
  bool cut_ = false;      // by a stop: a write fails from now on
  bool finished_ = false;
  bool lost_ = false;  // nothing can be sent any more
};

}  // namespace holdfast
