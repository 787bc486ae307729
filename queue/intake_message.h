// queue/intake_message.h — one message on its way in: what its header says, what is missing, what is refused.
// No I/O.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/dkim_signer.h"
#include "queue/header_collector.h"
#include "queue/header_section.h"
#include "queue/store.h"
#include "smtp/base/random.h"
#include "smtp/message_sink.h"
#include "smtp/wire/content_check.h"

namespace holdfast {

class IntakeMessage {
 public:
  // `now` of the timeline, `wall` for dates in the message.
  IntakeMessage(SettingsPtr settings, Envelope envelope, WallTime now, WallTime wall, Random& random);

  // Each takes the next chunk of the content; a Reply refuses the message.
  std::optional<Reply> take_header(std::string_view chunk);
  std::optional<Reply> take_body(std::string_view chunk);
  bool header_complete() const { return complete_; }
  // No content comes any more. May complete the header section.
  std::optional<Reply> end();

  // Once the header section is complete: looks at it. Then head() is what the body begins with: the section
  // as it is kept, the empty line, and what came behind it.
  std::optional<Reply> examine(MessageSigner* signer);
  const std::string& head() const { return head_; }
  // What the content lacks at its end: "" or CRLF.
  std::string_view tail() const;

  // After end(): the message but for its body.
  Result<Accept> finish();
  const Envelope& envelope() const { return envelope_; }

 private:
  std::optional<Reply> check(std::string_view chunk);
  std::optional<Reply> check_from();
  std::optional<Reply> check_sender_addresses(const HeaderField& from);
  std::optional<Reply> check_tls_required();
  std::optional<Reply> begin_signature(MessageSigner* signer);
  void keep_fields();
  void add_missing();

  SettingsPtr settings_;
  Envelope envelope_;
  WallTime now_, wall_;
  QueueId id_;
  ContentCheck content_;
  HeaderCollector collector_;
  std::uint64_t size_ = 0;
  bool complete_ = false;
  bool eight_bit_body_ = false, eight_bit_header_ = false;
  std::vector<HeaderField> fields_;
  std::string author_domain_;
  std::string head_, added_, message_id_;
  std::unique_ptr<MessageSigning> signing_;
};

// "4.3.1 …" as a Reply.
Reply refusal(int code, std::string text);

}  // namespace holdfast
