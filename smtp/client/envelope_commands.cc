#include "smtp/client/envelope_commands.h"

#include "smtp/base/base_error.h"
#include "smtp/client/client_error.h"
#include "smtp/client/conversation.h"

namespace holdfast {
namespace {

bool is_parameter_value(std::string_view text) {
  return is_one_line(text) && text.find(' ') == std::string_view::npos;
}

// RFC 3461 section 4.1
std::string notify_text(std::uint8_t flags) {
  if ((flags & kNotifyNever) != 0) return "NEVER";
  std::string text;
  const auto add = [&](NotifyFlag flag, const char* word) {
    if ((flags & flag) != 0) text += (text.empty() ? "" : ",") + std::string(word);
  };
  add(kNotifySuccess, "SUCCESS");
  add(kNotifyFailure, "FAILURE");
  add(kNotifyDelay, "DELAY");
  return text;
}

Result<std::string> path(const Mailbox& mailbox) {
  const std::string address = mailbox.empty()            ? ""
                              : mailbox.domain().empty() ? mailbox.local_part()
                                                         : mailbox.text();
  // A '>' belongs inside a quoted local part only; Mailbox sees to that for what it parsed.
  if (!is_one_line(address))
    return Error(BaseError::malformed, "address with control characters: " + sanitise(address, 80));
  return "<" + address + ">";
}

}  // namespace

Result<std::string> mail_command(const OutgoingMessage& message, const Extensions& peer) {
  auto from = path(message.reverse_path);
  if (!from) return from.error();
  std::string command = "MAIL FROM:" + *from;
  if (peer.size_offered && message.size > 0) command += " SIZE=" + std::to_string(message.size);
  if (peer.eight_bit && message.body == BodyType::eight_bit) command += " BODY=8BITMIME";
  if (message.smtputf8) command += " SMTPUTF8";
  if (message.requiretls) command += " REQUIRETLS";
  if (!peer.dsn) return command;
  if (message.dsn_return == DsnReturn::full) command += " RET=FULL";
  if (message.dsn_return == DsnReturn::headers) command += " RET=HDRS";
  if (!message.envelope_id.empty()) {
    if (!is_parameter_value(message.envelope_id)) return Error(BaseError::malformed, "ENVID");
    command += " ENVID=" + message.envelope_id;
  }
  return command;
}

Result<std::string> rcpt_command(const OutgoingRecipient& recipient, const Extensions& peer) {
  if (recipient.address.empty()) return Error(BaseError::malformed, "a recipient without an address");
  auto to = path(recipient.address);
  if (!to) return to.error();
  std::string command = "RCPT TO:" + *to;
  if (!peer.dsn) return command;
  const std::string notify = notify_text(recipient.dsn.notify);
  if (!notify.empty()) command += " NOTIFY=" + notify;
  if (!recipient.dsn.original_recipient.empty()) {
    if (!is_parameter_value(recipient.dsn.original_recipient)) return Error(BaseError::malformed, "ORCPT");
    command += " ORCPT=" + recipient.dsn.original_recipient;
  }
  return command;
}

Result<void> check_needs(const OutgoingMessage& message, const Extensions& peer, bool under_tls) {
  // RFC 8689 section 4.2.1, invariant 25
  if (message.requiretls && !(under_tls && peer.requiretls))
    return Error(ClientError::missing_extension, "REQUIRETLS");
  if (message.smtputf8 && !peer.smtputf8) return Error(ClientError::missing_extension, "SMTPUTF8");
  if (message.body == BodyType::eight_bit && !peer.eight_bit)
    return Error(ClientError::missing_extension, "8BITMIME");
  return {};
}

Reply soften_refusal(Reply reply, std::size_t accepted_before) {
  if (reply.code != 552) return reply;
  // 552 also says "mailbox full", which is as permanent as the peer says. Without an enhanced code, a refusal
  // after others were taken is about their number.
  const auto enhanced = reply.enhanced();
  const bool too_many = enhanced ? enhanced->subject == 5 && enhanced->detail == 3 : accepted_before > 0;
  if (too_many) reply.code = 452;
  return reply;
}

}  // namespace holdfast
