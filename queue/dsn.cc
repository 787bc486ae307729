#include "queue/dsn.h"

#include <fmt/format.h>

#include <algorithm>

#include "queue/dsn_text.h"
#include "queue/header_section.h"
#include "smtp/base/utf8.h"
#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

// RFC 3461 section 4.1. Without NOTIFY failures and delays are told.
bool wants(const RecipientDsn& dsn, DsnKind kind) {
  if ((dsn.notify & kNotifyNever) != 0) return false;
  const bool unsaid = dsn.notify == 0;
  switch (kind) {
    case DsnKind::failed: return unsaid || (dsn.notify & kNotifyFailure) != 0;
    case DsnKind::delayed: return unsaid || (dsn.notify & kNotifyDelay) != 0;
    case DsnKind::relayed:
    case DsnKind::delivered: return (dsn.notify & kNotifySuccess) != 0;
  }
  return false;
}

// What the postmaster gets when a bounce fails. Nobody is told when that fails in turn, whoever the
// postmaster is by then.
constexpr const char* kDoubleBounce = "double-bounce";

// Whom to tell. A bounce of ours that fails is told to the postmaster, unless it is the postmaster's own that
// failed; nothing else from the null sender is told to anybody (RFC 5321 section 6.1).
std::optional<Mailbox> addressee(const DsnRequest& request) {
  const MessageMeta& original = *request.original;
  if (!original.reverse_path.empty()) return original.reverse_path;
  if (!original.is_bounce || original.origin == kDoubleBounce || request.kind != DsnKind::failed)
    return std::nullopt;
  auto postmaster = Mailbox::parse(request.postmaster);
  if (!postmaster) return std::nullopt;
  const bool own =
      std::any_of(request.recipients.begin(), request.recipients.end(),
                  [&](const DsnRecipient& recipient) { return recipient.address == *postmaster; });
  if (own) return std::nullopt;
  return std::move(*postmaster);
}

// The original comes back whole only when it failed, was not asked for otherwise, and may be shown: a
// REQUIRETLS message returns its headers whatever RET says (RFC 8689 section 5), and a failed bounce has
// nothing to share but its own frame.
bool returns_body(const DsnRequest& request) {
  const MessageMeta& original = *request.original;
  return request.kind == DsnKind::failed && !original.tls.requiretls && !original.is_bounce &&
         original.dsn_return != DsnReturn::headers && original.body_size > 0 &&
         request.original_header.size() >= original.prefix_size;
}

std::string make_boundary(Random& random) {
  const std::uint64_t first = random.next();
  return fmt::format("{:016x}{:016x}", first, random.next());
}

std::string part(const std::string& boundary, std::string_view description, std::string_view type,
                 bool eight_bit) {
  std::string head = "\r\n--" + boundary + "\r\nContent-Description: ";
  head += description;
  head += "\r\nContent-Type: ";
  head += type;
  head += "\r\n";
  if (eight_bit) head += "Content-Transfer-Encoding: 8bit\r\n";
  return head + "\r\n";
}

struct Frame {
  std::string prefix, suffix;
  bool eight_bit = false;
};

Frame build_frame(const DsnRequest& request, const std::vector<DsnRecipient>& recipients, bool utf8,
                  bool whole, const std::string& head, const std::string& boundary) {
  const MessageMeta& original = *request.original;
  const std::string explanation = dsn_explanation(request, recipients);
  const std::string status = dsn_status(request, recipients, utf8);
  const bool status_8bit = !is_ascii(status);
  const std::string_view prefix_of_original =
      std::string_view(request.original_header).substr(0, static_cast<std::size_t>(original.prefix_size));
  const bool original_8bit =
      !is_ascii(request.original_header) || (whole && original.body_type == BodyType::eight_bit);
  Frame frame;
  frame.eight_bit = original_8bit || status_8bit || !is_ascii(explanation);

  frame.prefix = head;
  if (frame.eight_bit) frame.prefix += "Content-Transfer-Encoding: 8bit\r\n";
  frame.prefix += "\r\nThis is a MIME message with a delivery status notification.\r\n";
  const bool plain = is_ascii(explanation);
  frame.prefix += part(boundary, "Notification",
                       plain ? "text/plain; charset=us-ascii" : "text/plain; charset=utf-8", !plain);
  frame.prefix += explanation;
  frame.prefix += part(boundary, "Delivery report",
                       utf8 ? "message/global-delivery-status" : "message/delivery-status", status_8bit);
  frame.prefix += status;
  frame.suffix = "\r\n--" + boundary + "--\r\n";
  if (whole) {
    frame.prefix +=
        part(boundary, "Undelivered message", utf8 ? "message/global" : "message/rfc822", original_8bit);
    frame.prefix += prefix_of_original;
  } else {
    if (!request.original_header.empty()) {
      frame.prefix += part(boundary, "Header of the message",
                           utf8 ? "message/global-headers" : "text/rfc822-headers", original_8bit);
      frame.prefix += request.original_header;
      if (!frame.prefix.ends_with("\r\n")) frame.prefix += "\r\n";
    }
    frame.prefix += std::exchange(frame.suffix, {});
  }
  return frame;
}

}  // namespace

std::optional<Accept> build_dsn(const DsnRequest& request, Random& random) {
  const MessageMeta& original = *request.original;
  const auto to = addressee(request);
  if (!to) return std::nullopt;
  std::vector<DsnRecipient> recipients;
  std::copy_if(request.recipients.begin(), request.recipients.end(), std::back_inserter(recipients),
               [&](const DsnRecipient& recipient) { return wants(recipient.dsn, request.kind); });
  if (recipients.empty()) return std::nullopt;

  Accept accept;
  accept.meta.id = QueueId::make(request.now, random);
  const std::string boundary = make_boundary(random);
  const bool whole = returns_body(request);
  const bool utf8 = original.smtputf8 || to->needs_smtputf8();
  const std::string message_id = "<" + lower_case(accept.meta.id.text()) + "@" + request.hostname + ">";
  std::string head =
      "Date: " + date_time(request.now) + "\r\nFrom: Mail relay <" + request.postmaster + ">\r\n";
  head += "To: <" + to->text() + ">\r\nSubject: ";
  head += original.is_bounce ? "Undeliverable notification" : dsn_subject(request.kind);
  head += "\r\nMessage-ID: " + message_id + "\r\n";
  // Only what is plainly one: it was the sender's to write.
  const std::string references = dsn_safe(original.message_id, false);
  if (references.starts_with('<') && references.ends_with('>') && references.size() < 256 &&
      references.find(' ') == std::string::npos)
    head += "References: " + references + "\r\n";
  head += "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n";
  head +=
      "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"" + boundary + "\"\r\n";

  Frame frame = build_frame(request, recipients, utf8, whole, head, boundary);
  if (whole) accept.body_of = original.id;
  accept.prefix = std::move(frame.prefix);
  accept.suffix = std::move(frame.suffix);
  accept.recipients.push_back({*to, {}});

  MessageMeta& meta = accept.meta;
  meta.origin = original.is_bounce ? kDoubleBounce : "bounce";
  meta.is_bounce = true;
  meta.body_type = frame.eight_bit ? BodyType::eight_bit : BodyType::seven_bit;
  meta.smtputf8 = utf8;
  meta.message_id = message_id;
  meta.accepted = request.now;
  meta.release = request.now;
  meta.expires = request.now + std::chrono::floor<std::chrono::microseconds>(request.bounce_expire);
  return accept;
}

}  // namespace holdfast
