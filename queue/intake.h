// queue/intake.h — how a message from outside becomes one of the queue.
//
// Procedure: the header section is collected (bounded), examined and completed, the rest streams into the
// store untouched; then prefix (Received, signature, what was missing), body and envelope are applied in one
// batch, and an id is given back only once that is durable. Recipients are claimed at once when the scheduler
// has room, so that a first delivery reads nothing back.
//
// What is changed: Return-Path, Bcc and Resent-Bcc are removed; a missing Date, Message-ID and (for trusted
// clients) From is added; a missing final CRLF is added. Nothing else ever is. What is refused: see
// refuse_…() in intake.cc; every refusal keeps nothing.
#pragma once

#include <memory>
#include <string>

#include "config/settings_source.h"
#include "queue/dkim_signer.h"
#include "queue/ready_work.h"
#include "queue/store.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/base/random.h"
#include "smtp/message_sink.h"

namespace holdfast {

class Intake final : public MessageSink {
 public:
  // All outlive it.
  struct Parts {
    Store& store;
    ReadyWork& ready;
    const SettingsSource& settings;
    const Clock& clock;
    const Timeline& timeline;
    Random& random;
    Log& log;
    Metrics& metrics;
    MessageSigner* signer = nullptr;  // null: nothing is signed
  };
  explicit Intake(Parts parts) : parts_(parts) {}

  std::optional<Reply> admit(std::uint64_t size) override;
  asio::awaitable<Result<Acceptance>> accept(Envelope envelope, BodySource& body) override;

 private:
  asio::awaitable<Result<Acceptance>> commit(Accept accept, Envelope envelope);
  void note_accepted(const Accepted& accepted, const MessageMeta& meta, const Envelope& envelope,
                     std::size_t recipients);

  Parts parts_;
};

}  // namespace holdfast
