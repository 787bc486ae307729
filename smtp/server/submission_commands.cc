// The commands that are answered at once: hello, the envelope, and the small ones.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "smtp/base/base_error.h"
#include "smtp/server/submission_session.h"
#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

// FUTURERELEASE: what may be asked for. RFC 4865 section 4 has it told in EHLO.
constexpr std::chrono::seconds kMaxHold = std::chrono::hours(24 * 30);

Refusal refusal(Reason reason, int code, std::string text) {
  return {reason, make_reply(code, std::move(text))};
}

std::chrono::sys_seconds to_seconds(WallTime time) { return std::chrono::floor<std::chrono::seconds>(time); }

}  // namespace

std::vector<std::string> SubmissionSession::offered_mechanisms() const {
  // Never in clear: a password would be there for the taking (RFC 4954 section 4, invariant 31).
  if (!is_tls() || !needs_auth()) return {};
  return settings_->auth.mechanisms;
}

// No more than the user's rate can ever hold: a message beyond it would be told "later" for ever.
std::uint64_t SubmissionSession::recipient_limit() const {
  const std::uint64_t limit = settings_->limits.recipients_per_message;
  if (!identity_ || services_.quota == nullptr || identity_->recipients.unlimited()) return limit;
  return std::min(limit, identity_->recipients.count);
}

std::vector<std::string> SubmissionSession::offered_extensions() const {
  std::vector<std::string> offered{
      "PIPELINING",         fmt::format("SIZE {}", settings_->limits.message_size),
      "8BITMIME",           "SMTPUTF8",
      "CHUNKING",           "DSN",
      "ENHANCEDSTATUSCODES"};
  if (!is_tls() && services_.tls.current()) offered.emplace_back("STARTTLS");
  std::string mechanisms;
  for (const std::string& mechanism : offered_mechanisms()) mechanisms += " " + mechanism;
  if (!mechanisms.empty()) offered.push_back("AUTH" + mechanisms);
  if (is_tls()) offered.emplace_back("REQUIRETLS");  // RFC 8689 section 2
  offered.push_back(fmt::format("LIMITS RCPTMAX={}", recipient_limit()));
  const auto latest = to_seconds(services_.clock.wall()) + kMaxHold;
  offered.push_back(fmt::format("FUTURERELEASE {} {:%Y-%m-%dT%H:%M:%SZ}", kMaxHold.count(), latest));
  return offered;
}

void SubmissionSession::answer(const cmd::Hello& hello) {
  reset();  // RFC 5321 section 4.1.4
  hello_ = hello.extended ? Hello::ehlo : Hello::helo;
  helo_name_ = hello.name;
  Reply reply = make_reply(250, fmt::format("{} greets {}", settings_->hostname, hello.name));
  if (hello.extended) {
    for (std::string& line : offered_extensions()) reply.text.push_back(std::move(line));
  }
  io_.say(reply);
}

std::optional<Refusal> SubmissionSession::why_no_hold(const MailParameters& parameters) const {
  const auto now = to_seconds(services_.clock.wall());
  const bool too_far = (parameters.hold_for && *parameters.hold_for > kMaxHold) ||
                       (parameters.hold_until && *parameters.hold_until > now + kMaxHold);
  if (!too_far) return std::nullopt;
  return refusal(Reason::parameter, 501,
                 fmt::format("5.5.4 A message can be held for {} seconds at most", kMaxHold.count()));
}

std::optional<Refusal> SubmissionSession::why_no_mail(const cmd::Mail& mail) const {
  const MailParameters& parameters = mail.parameters;
  if (hello_ == Hello::none) return refusal(Reason::sequence, 503, "5.5.1 Say EHLO first");
  if (needs_auth() && !is_tls()) {
    return refusal(Reason::tls_required, 530, "5.7.0 Say STARTTLS first, then log in by AUTH");
  }
  if (needs_auth() && !identity_) return refusal(Reason::auth_required, 530, "5.7.0 Log in by AUTH first");
  if (transaction_)
    return refusal(Reason::sequence, 503, "5.5.1 A message is under way; finish it or say RSET");
  if (!mail.ascii && !parameters.smtputf8) {
    return refusal(Reason::parameter, 553, "5.6.7 An address outside of ASCII needs the SMTPUTF8 parameter");
  }
  if (parameters.requiretls && !is_tls()) {
    return refusal(Reason::tls_required, 530,
                   "5.7.10 REQUIRETLS can only be asked for under TLS; say STARTTLS first");
  }
  const bool null = mail.reverse_path.empty();
  if (identity_ && !null && !may_send_as(identity_->senders, mail.reverse_path.text())) {
    return refusal(
        Reason::sender, 550,
        fmt::format(
            "5.7.1 User {} may not send as <{}>; use an address among the user's `senders`, or have it "
            "added there",
            identity_->user, mail.reverse_path.text()));
  }
  const std::uint64_t limit = settings_->limits.message_size;
  if (limit > 0 && parameters.size.value_or(0) > limit) {
    return refusal(Reason::size, 552, fmt::format("5.3.4 The message is larger than {} octets", limit));
  }
  if (auto too_far = why_no_hold(parameters)) return too_far;
  if (auto busy = services_.sink.admit(parameters.size.value_or(0))) return Refusal{Reason::queue, *busy};
  return std::nullopt;
}

TraceInfo SubmissionSession::trace(bool smtputf8) const {
  TraceInfo trace;
  trace.helo = helo_name_;
  if (!settings_->limits.hide_client) trace.client_ip = peer_.text();
  // RFC 3848, RFC 6531 section 4.3.
  trace.protocol = smtputf8 ? "UTF8SMTP" : hello_ == Hello::ehlo ? "ESMTP" : "SMTP";
  if (hello_ == Hello::ehlo && is_tls()) trace.protocol += 'S';
  if (hello_ == Hello::ehlo && identity_) trace.protocol += 'A';
  if (const TlsEvidence* tls = io_.tls()) trace.tls = fmt::format("{} {}", name(tls->version), tls->cipher);
  trace.listener = listener_.bind.text();
  return trace;
}

void SubmissionSession::answer(const cmd::Mail& mail) {
  if (auto why = why_no_mail(mail)) return refuse(*why);
  const MailParameters& parameters = mail.parameters;
  Envelope envelope;
  envelope.origin = "submission";
  envelope.reverse_path = mail.reverse_path;
  envelope.envelope_id = parameters.envelope_id;
  envelope.dsn_return = parameters.dsn_return;
  envelope.body = parameters.eight_bit ? BodyType::eight_bit : BodyType::seven_bit;
  envelope.smtputf8 = parameters.smtputf8;
  envelope.declared_size = parameters.size.value_or(0);
  envelope.tls.requiretls = parameters.requiretls;
  envelope.trusted_client = !needs_auth();
  if (identity_) {
    envelope.user = identity_->user;
    envelope.may_say_tls_required_no = identity_->tls_required_no;
    // Empty means "anything" to the queue: a user without senders gets one that nothing matches.
    envelope.senders = identity_->senders.empty() ? std::vector<std::string>{""} : identity_->senders;
  }
  const WallTime now = services_.clock.wall();
  if (parameters.hold_for) envelope.release = now + *parameters.hold_for;
  if (parameters.hold_until && *parameters.hold_until > now) envelope.release = *parameters.hold_until;
  // Delivery begins at the release, and so does its time (RFC 4865 section 5).
  if (envelope.release) envelope.expires = *envelope.release + settings_->delivery.expire;
  envelope.trace = trace(parameters.smtputf8);
  transaction_ = std::move(envelope);
  io_.say(make_reply(250, "2.1.0 Sender ok"));
}

void SubmissionSession::answer(const cmd::Rcpt& rcpt) {
  if (!transaction_) return refuse(Reason::sequence, 503, "5.5.1 Say MAIL first");
  if (transaction_->recipients.size() >= recipient_limit()) {
    // RFC 5321 section 4.5.3.1.10: the client sends the rest in another message.
    return refuse(
        Reason::recipients, 452,
        fmt::format("4.5.3 No more than {} recipients per message; send to the others in another one",
                    recipient_limit()));
  }
  if (!rcpt.ascii && !transaction_->smtputf8) {
    return refuse(Reason::parameter, 553,
                  "5.6.7 An address outside of ASCII needs the SMTPUTF8 parameter at MAIL");
  }
  EnvelopeRecipient recipient;
  recipient.address = rcpt.forward_path;
  recipient.dsn = rcpt.parameters.dsn;
  if (recipient.address.domain().empty()) {
    // RFC 5321 section 4.5.1: <Postmaster> without a domain is ours.
    auto postmaster = Mailbox::parse(settings_->postmaster);
    if (!postmaster)
      return refuse(Reason::recipient, 550, "5.1.1 No postmaster is configured here; write the full address");
    recipient.address = std::move(*postmaster);
  }
  const auto& known = transaction_->recipients;
  const bool again = std::any_of(known.begin(), known.end(), [&](const EnvelopeRecipient& other) {
    return other.address == recipient.address;
  });
  if (!again) transaction_->recipients.push_back(std::move(recipient));
  io_.say(make_reply(250, again ? "2.1.5 Recipient given twice, takes one copy" : "2.1.5 Recipient ok"));
}

void SubmissionSession::answer(const cmd::Bad& bad) {
  refuse(Refusal{Reason::syntax, bad.reply});
  // What follows a request of another protocol was written by whoever made the browser send it; what follows
  // a BDAT that we cannot read is content, and must not be taken for commands.
  if (bad.foreign || bad.verb == Verb::bdat) finished_ = true;
}

void SubmissionSession::answer(const cmd::Rset&) {
  reset();
  io_.say(make_reply(250, "2.0.0 Ok"));
}

void SubmissionSession::answer(const cmd::Noop&) { io_.say(make_reply(250, "2.0.0 Ok")); }

void SubmissionSession::answer(const cmd::Quit&) {
  reset();
  io_.say(make_reply(221, "2.0.0 Bye"));
  finished_ = true;
}

void SubmissionSession::answer(const cmd::Vrfy&) {
  io_.say(make_reply(252, "2.5.2 Addresses are not verified here; send the message and see"));
}

void SubmissionSession::answer(const cmd::Expn&) {
  refuse(Reason::syntax, 502, "5.5.1 There are no lists here to expand");
}

void SubmissionSession::answer(const cmd::Help&) {
  io_.say(
      make_reply(214, "2.0.0 Submission (RFC 6409): EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA or BDAT, QUIT"));
}

}  // namespace holdfast
