// STARTTLS (RFC 3207) and AUTH (RFC 4954).
#include <fmt/format.h>

#include "config/secret.h"
#include "smtp/server/sasl.h"
#include "smtp/server/submission_session.h"
#include "smtp/wire/base64.h"
#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

// What a failure costs in time, doubled with each further one; the next connection starts again, but the
// failures of an address are counted by the Authenticator.
constexpr Duration kFirstFailureDelay = std::chrono::seconds(1);
constexpr unsigned kMaxDelayDoublings = 3;
constexpr unsigned kMaxAuthFailures = 5;

struct VerdictName {
  std::string_view operator()(AuthVerdict verdict) const {
    switch (verdict) {
      case AuthVerdict::accepted: return "accepted";
      case AuthVerdict::rejected: return "rejected";
      case AuthVerdict::locked_out: return "locked_out";
      case AuthVerdict::unavailable: return "unavailable";
    }
    return "unknown";
  }
};

}  // namespace

asio::awaitable<bool> SubmissionSession::accept_tls() {
  io_.stream().set_deadline(services_.clock.now() + std::min<Duration>(idle_timeout(), kHandshakeLimit));
  auto context = services_.tls.current();
  if (!context) {
    services_.log.error("no certificate to show to clients", Fields().add("listener", listener_.bind.text()));
    lost_ = finished_ = true;
    io_.close();
    co_return false;
  }
  TlsFailure failure = co_await io_.accept_tls(std::move(context));
  if (!failure) co_return true;
  lost_ = finished_ = true;
  if (io_.interrupted()) {
    count_refusal(Reason::shutdown);
    co_return false;
  }
  count_refusal(Reason::tls_failed);
  Fields fields;
  fields.add("ip", peer_.text())
      .add("listener", listener_.bind.text())
      .add("reason", describe(failure.error));
  fields.add("detail", failure.detail);
  services_.log.info("TLS handshake with a client failed", fields);
  co_return false;
}

asio::awaitable<void> SubmissionSession::start_tls() {
  if (is_tls()) co_return refuse(Reason::sequence, 503, "5.5.1 TLS is in use already");
  if (hello_ == Hello::none) co_return refuse(Reason::sequence, 503, "5.5.1 Say EHLO first");
  if (transaction_)
    co_return refuse(Reason::sequence, 503, "5.5.1 A message is under way; say RSET before STARTTLS");
  if (!services_.tls.current()) {
    co_return refuse(Reason::tls_failed, 454,
                     "4.7.0 TLS is not available here now; the relay has no certificate");
  }
  io_.say(make_reply(220, "2.0.0 Go ahead"));
  const bool secured = co_await accept_tls();
  if (!secured) co_return;
  // RFC 3207 section 4.2: nothing of what was said before counts any more.
  reset();
  hello_ = Hello::none;
  helo_name_.clear();
  identity_.reset();
}

asio::awaitable<void> SubmissionSession::authenticate(cmd::Auth auth) {
  if (!needs_auth())
    co_return refuse(Reason::sequence, 503, "5.5.1 This port takes no AUTH; trusted networks need none");
  if (hello_ != Hello::ehlo) co_return refuse(Reason::sequence, 503, "5.5.1 Say EHLO first");
  // RFC 4954 section 6; a credential that came with the command is not even decoded.
  if (!is_tls())
    co_return refuse(Reason::tls_required, 538,
                     "5.7.11 Say STARTTLS first; passwords are not taken in clear");
  if (identity_) co_return refuse(Reason::sequence, 503, "5.5.1 You are logged in already");
  if (transaction_) co_return refuse(Reason::sequence, 503, "5.5.1 A message is under way");
  const auto offered = offered_mechanisms();
  std::unique_ptr<SaslExchange> exchange;
  if (std::find(offered.begin(), offered.end(), auth.mechanism) != offered.end()) {
    exchange = start_sasl(auth.mechanism, services_.authenticator, peer_.ip);
  }
  if (!exchange)
    co_return refuse(Reason::syntax, 504,
                     "5.5.4 This mechanism is not offered; see AUTH in the reply to EHLO");

  std::optional<std::string> response;
  if (auth.initial_response) {
    response = *auth.initial_response == "=" ? std::string() : base64_decode(*auth.initial_response);
    wipe(*auth.initial_response);
    io_.forget();
    if (!response) co_return refuse(Reason::syntax, 501, "5.5.2 The initial response is not base64");
  }
  while (true) {
    const SteadyTime asked = services_.clock.now();
    SaslStep step = co_await exchange->respond(std::move(response));
    if (step.kind == SaslStep::Kind::malformed) {
      co_return refuse(Reason::syntax, 501,
                       "5.5.2 The response does not follow the mechanism " + auth.mechanism);
    }
    if (step.kind == SaslStep::Kind::done) {
      co_await conclude_auth(auth.mechanism, asked, std::move(step.result));
      co_return;
    }
    io_.say(make_reply(334, base64_encode(step.challenge)));
    io_.stream().set_deadline(command_deadline());
    auto line = co_await io_.line();
    if (!line && line.error().is(WireError::line_too_long)) {
      co_return refuse(Reason::syntax, 500, "5.5.6 The response is too long");
    }
    if (!line && line.error().code.category() == to_error_code(WireError::malformed).category()) {
      co_return handle_bad_line(line.error());
    }
    if (!line) co_return take_leave(line.error());
    if (*line == "*")
      co_return refuse(Reason::auth_failed, 501, "5.7.0 Authentication given up, as you asked");
    response = base64_decode(*line);
    wipe(*line);
    io_.forget();
    if (!response) co_return refuse(Reason::syntax, 501, "5.5.2 The response is not base64");
  }
}

// A session may last for days. Whoever was suspended or removed since the login is logged out at the next
// message, and changed rights hold from there on.
asio::awaitable<void> SubmissionSession::renew_identity() {
  identity_ = co_await services_.authenticator.identity_of(identity_->user);
}

asio::awaitable<void> SubmissionSession::conclude_auth(std::string mechanism, SteadyTime asked,
                                                       AuthResult result) {
  const std::string_view verdict = VerdictName()(result.verdict);
  services_.metrics.counter("auth_attempts_total", {{"mechanism", mechanism}, {"result", verdict}}).add();
  switch (result.verdict) {
    case AuthVerdict::accepted:
      if (!result.identity) break;
      identity_ = std::move(result.identity);
      io_.say(make_reply(235, "2.7.0 Logged in"));
      co_return;
    case AuthVerdict::locked_out:
      co_return refuse(Reason::auth_locked, 454,
                       "4.7.0 Too many failed logins from your address; try again later");
    case AuthVerdict::unavailable:
      co_return refuse(Reason::auth_unavailable, 454,
                       "4.7.0 Logins cannot be checked right now; try again in a moment");
    case AuthVerdict::rejected: break;
  }
  const unsigned doublings = std::min(auth_failures_++, kMaxDelayDoublings);
  // Counted from the question: what the check took, which may tell known users from unknown ones, does not
  // show.
  co_await sleep_until(services_.clock, asked + kFirstFailureDelay * (1U << doublings));
  if (auth_failures_ >= kMaxAuthFailures) {
    finished_ = true;
    co_return refuse(Reason::auth_failed, 421, "4.7.0 Too many failed logins; check user name and password");
  }
  refuse(Reason::auth_failed, 535, "5.7.8 User name or password is wrong");
}

}  // namespace holdfast
