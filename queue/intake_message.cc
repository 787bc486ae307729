#include "queue/intake_message.h"

#include <algorithm>

#include "queue/header_address.h"
#include "queue/header_trace.h"
#include "smtp/base/utf8.h"
#include "smtp/server/authenticator.h"
#include "smtp/wire/ascii.h"
#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

constexpr std::size_t kMessageIdInHistory = 256;

bool is_removed(std::string_view name) {
  return equal_ignoring_case(name, "Return-Path") || equal_ignoring_case(name, "Bcc") ||
         equal_ignoring_case(name, "Resent-Bcc");
}

}  // namespace

Reply refusal(int code, std::string text) { return Reply{code, {std::move(text)}}; }

IntakeMessage::IntakeMessage(SettingsPtr settings, Envelope envelope, WallTime now, WallTime wall,
                             Random& random)
    : settings_(std::move(settings)),
      envelope_(std::move(envelope)),
      now_(now),
      wall_(wall),
      id_(QueueId::make(now, random)),
      collector_(settings_->limits.header_size) {}

std::optional<Reply> IntakeMessage::check(std::string_view chunk) {
  size_ += chunk.size();
  if (size_ > settings_->limits.message_size)
    return refusal(552, "5.3.4 Message exceeds the limit of " +
                            std::to_string(settings_->limits.message_size) + " octets");
  content_.feed(chunk);
  if (const auto violation = content_.violation())
    return refusal(554, std::string("5.6.0 ") + describe(*violation));
  if (settings_->limits.long_lines == LongLines::refuse &&
      content_.longest_line() > settings_->limits.line_length)
    return refusal(554, "5.6.0 A line is longer than " + std::to_string(settings_->limits.line_length) +
                            " octets (RFC 5321 section 4.5.3.1.6)");
  return std::nullopt;
}

std::optional<Reply> IntakeMessage::take_header(std::string_view chunk) {
  if (auto refused = check(chunk)) return refused;
  const auto state = collector_.feed(chunk);
  complete_ = state == HeaderCollector::State::complete;
  if (state == HeaderCollector::State::too_long)
    return refusal(552, "5.3.4 Header section exceeds the limit of " +
                            std::to_string(settings_->limits.header_size) + " octets");
  return std::nullopt;
}

std::optional<Reply> IntakeMessage::take_body(std::string_view chunk) {
  if (auto refused = check(chunk)) return refused;
  eight_bit_body_ = eight_bit_body_ || !is_ascii(chunk);
  if (signing_) signing_->body(chunk);
  return std::nullopt;
}

std::optional<Reply> IntakeMessage::end() {
  content_.finish();
  if (const auto violation = content_.violation())
    return refusal(554, std::string("5.6.0 ") + describe(*violation));
  if (complete_) {
    if (signing_) signing_->body(tail());
    return std::nullopt;
  }
  if (collector_.end() == HeaderCollector::State::too_long)
    return refusal(552, "5.3.4 Header section exceeds the limit of " +
                            std::to_string(settings_->limits.header_size) + " octets");
  complete_ = true;
  return std::nullopt;
}

std::string_view IntakeMessage::tail() const {
  return content_.at_line_start() ? std::string_view() : std::string_view("\r\n");
}

std::optional<Reply> IntakeMessage::examine(MessageSigner* signer) {
  auto fields = parse_header(collector_.header());
  if (!fields) return refusal(550, "5.6.0 Malformed header section: " + fields.error().detail);
  fields_ = std::move(*fields);
  eight_bit_header_ = !is_ascii(collector_.header());
  if (eight_bit_header_ && !is_utf8(collector_.header()))
    return refusal(550, "5.6.0 The header section is neither ASCII nor UTF-8 (RFC 6532)");
  if (count_fields(fields_, "Received") > settings_->limits.received_hops)
    return refusal(554, "5.4.6 Too many hops: this message is in a loop");
  if (auto refused = check_from()) return refused;
  if (auto refused = check_tls_required()) return refused;
  std::erase_if(fields_, [](const HeaderField& field) { return is_removed(field.name); });
  add_missing();
  if (auto refused = begin_signature(signer)) return refused;
  keep_fields();
  return std::nullopt;
}

// RFC 6409 section 8.1: whose name stands in From must be allowed to whoever submits.
std::optional<Reply> IntakeMessage::check_from() {
  const std::size_t count = count_fields(fields_, "From");
  if (count > 1) return refusal(550, "5.6.0 More than one From field (RFC 5322 section 3.6)");
  if (count == 1) return check_sender_addresses(*find_field(fields_, "From"));
  if (!envelope_.trusted_client || envelope_.reverse_path.empty())
    return refusal(550, "5.6.0 No From field (RFC 5322 section 3.6)");
  added_ += "From: " + envelope_.reverse_path.text() + "\r\n";
  author_domain_ = envelope_.reverse_path.domain();
  return std::nullopt;
}

std::optional<Reply> IntakeMessage::check_sender_addresses(const HeaderField& from) {
  auto authors = parse_mailboxes(from.value());
  if (!authors) {
    // Nobody is bound to a list of senders: an odd From is then the client's own affair.
    if (envelope_.senders.empty()) return std::nullopt;
    return refusal(550,
                   "5.7.1 The From field cannot be read, so it cannot be allowed: " + authors.error().detail);
  }
  author_domain_ = authors->front().domain();
  if (envelope_.senders.empty()) return std::nullopt;
  for (const auto& author : *authors)
    if (!may_send_as(envelope_.senders, author.text()))
      return refusal(550, "5.7.1 " + sanitise(author.text(), 320) + " in From is not allowed for this user");
  return std::nullopt;
}

// RFC 8689 section 3: the field counts once, with the value No, and REQUIRETLS makes it void.
std::optional<Reply> IntakeMessage::check_tls_required() {
  const HeaderField* field = find_field(fields_, "TLS-Required");
  const bool said = field != nullptr && count_fields(fields_, "TLS-Required") == 1 &&
                    equal_ignoring_case(field->value(), "No");
  if (said && envelope_.may_say_tls_required_no) envelope_.tls.tls_required_no = true;
  if (envelope_.tls.requiretls) envelope_.tls.tls_required_no = false;
  return std::nullopt;
}

void IntakeMessage::add_missing() {
  const std::string from = std::exchange(added_, {});
  if (const HeaderField* field = find_field(fields_, "Message-ID")) {
    message_id_ = sanitise(unfold(field->value()), kMessageIdInHistory);
  } else {
    message_id_ = "<" + lower_case(id_.text()) + "@" + settings_->hostname + ">";
    added_ += "Message-ID: " + message_id_ + "\r\n";
  }
  if (find_field(fields_, "Date") == nullptr) added_ += "Date: " + date_time(wall_) + "\r\n";
  added_ += from;
}

std::optional<Reply> IntakeMessage::begin_signature(MessageSigner* signer) {
  const bool must = !envelope_.signing_domain.empty();
  if (!must && (settings_->dkim.sign == DkimSigning::off || author_domain_.empty())) return std::nullopt;
  const std::string& domain = must ? envelope_.signing_domain : author_domain_;
  auto signing = signer == nullptr ? Result<std::unique_ptr<MessageSigning>>(nullptr)
                                   : signer->begin(settings_->dkim, domain, wall_);
  // A key that is there and cannot be used is a fault to mend, not a reason to send unsigned mail.
  if (!signing) return refusal(451, "4.3.0 Signing failed: " + sanitise(signing.error().text(), 200));
  if (must && !*signing) return refusal(451, "4.3.0 There is no key to sign for " + domain);
  signing_ = std::move(*signing);
  return std::nullopt;
}

void IntakeMessage::keep_fields() {
  for (const auto& field : fields_) head_ += field.raw;
  if (collector_.has_empty_line()) head_ += "\r\n";
  // Octets of the body that came with the header section.
  const std::string_view rest = collector_.rest();
  eight_bit_body_ = !is_ascii(rest);
  if (signing_) signing_->body(rest);
  head_ += rest;
}

Result<Accept> IntakeMessage::finish() {
  Accept accept;
  ReceivedTrace trace{envelope_, settings_->hostname, id_, wall_, settings_->limits.hide_client};
  accept.prefix = received_field(trace);
  if (signing_) {
    auto added = parse_header(added_);
    if (!added) return added.error();
    added->insert(added->end(), fields_.begin(), fields_.end());
    auto signature = signing_->finish(*added);
    if (!signature) return signature.error();
    accept.prefix += *signature;
  }
  accept.prefix += added_;
  // Content that has no header section at all begins behind an empty line of ours.
  if (collector_.header().empty() && !collector_.has_empty_line()) accept.prefix += "\r\n";

  MessageMeta& meta = accept.meta;
  meta.id = id_;
  meta.origin = envelope_.origin;
  meta.idempotency_key = envelope_.idempotency_key;
  meta.user = envelope_.user;
  meta.reverse_path = envelope_.reverse_path;
  meta.envelope_id = envelope_.envelope_id;
  meta.dsn_return = envelope_.dsn_return;
  meta.body_type = eight_bit_body_ || eight_bit_header_ ? BodyType::eight_bit : BodyType::seven_bit;
  // What the client declared says little: plain ASCII never asks for SMTPUTF8. Recipients count one by one
  // later.
  meta.smtputf8 = eight_bit_header_ || envelope_.reverse_path.needs_smtputf8();
  meta.tls = envelope_.tls;
  meta.counts_in_tlsrpt = envelope_.counts_in_tlsrpt && !envelope_.tls.tls_required_no;
  meta.message_id = message_id_;
  meta.accepted = now_;
  meta.release = envelope_.release ? std::max(*envelope_.release, now_) : now_;
  const Millis life =
      envelope_.reverse_path.empty() ? settings_->queue.bounce_expire : settings_->delivery.expire;
  meta.expires = envelope_.expires.value_or(meta.release + life);

  for (const auto& recipient : envelope_.recipients) {
    NewRecipient made{recipient.address, recipient.dsn};
    if (recipient.address.domain().empty()) {  // <Postmaster>, RFC 5321 section 4.1.1.3
      auto postmaster = Mailbox::parse(settings_->postmaster);
      if (!postmaster) return postmaster.error();
      made.address = std::move(*postmaster);
    }
    accept.recipients.push_back(std::move(made));
  }
  return accept;
}

}  // namespace holdfast
