#include "queue/intake.h"

#include "queue/intake_message.h"

namespace holdfast {
namespace {

Acceptance refused(Reply reply) { return Acceptance{std::nullopt, std::move(reply)}; }

// The client keeps the message either way; 452 tells it that waiting helps.
Reply store_refusal(const Error& error) {
  if (error.is(StoreError::full)) return refusal(452, "4.3.1 Not enough space for the message");
  return refusal(451, "4.3.0 The message could not be stored; try again later");
}

}  // namespace

std::optional<Reply> Intake::admit(std::uint64_t size) {
  if (parts_.store.failed()) return refusal(451, "4.3.0 The queue takes no mail; try again later");
  if (parts_.store.low_on_space()) return refusal(452, "4.3.1 Not enough space; try again later");
  const std::uint64_t limit = parts_.settings.current()->limits.message_size;
  if (size > limit)
    return refusal(552, "5.3.4 Message exceeds the limit of " + std::to_string(limit) + " octets");
  return std::nullopt;
}

asio::awaitable<Result<Acceptance>> Intake::accept(Envelope envelope, BodySource& body) {
  if (auto no = admit(0)) co_return refused(std::move(*no));
  if (envelope.recipients.empty()) co_return refused(refusal(554, "5.5.1 No valid recipients"));
  IntakeMessage message(parts_.settings.current(), std::move(envelope), parts_.timeline.now(),
                        parts_.clock.wall(), parts_.random);
  bool ended = false;
  while (!message.header_complete()) {
    const auto chunk = co_await body.next();
    if (!chunk) co_return chunk.error();
    ended = chunk->empty();
    auto no = ended ? message.end() : message.take_header(*chunk);
    if (no) co_return refused(std::move(*no));
  }
  if (auto no = message.examine(parts_.signer)) co_return refused(std::move(*no));

  auto staged = parts_.store.stage_body();
  std::string_view chunk = message.head();
  while (true) {
    if (!chunk.empty()) {
      const auto written = co_await staged->write(chunk);
      if (!written) {
        parts_.log.error("a message could not be stored: " + written.error().text());
        co_return refused(store_refusal(written.error()));
      }
    }
    if (ended) break;
    const auto next = co_await body.next();
    if (!next) co_return next.error();
    ended = next->empty();
    auto no = ended ? message.end() : message.take_body(*next);
    if (no) co_return refused(std::move(*no));
    chunk = ended ? message.tail() : *next;
  }
  const auto finished = co_await staged->finish();
  if (!finished) {
    parts_.log.error("a message could not be stored: " + finished.error().text());
    co_return refused(store_refusal(finished.error()));
  }
  auto accept = message.finish();
  if (!accept) {
    parts_.log.error("a message could not be completed: " + accept.error().text());
    co_return refused(refusal(451, "4.3.0 The message could not be completed; try again later"));
  }
  accept->body = std::move(staged);
  co_return co_await commit(std::move(*accept), message.envelope());
}

asio::awaitable<Result<Acceptance>> Intake::commit(Accept accept, Envelope envelope) {
  accept.claim = parts_.ready.has_room() && accept.meta.release <= accept.meta.accepted;
  const std::size_t recipients = accept.recipients.size();
  MessageMeta meta = accept.meta;
  meta.prefix_size = accept.prefix.size();
  meta.body_size = accept.body->size();
  Batch batch;
  batch.accept.push_back(std::move(accept));
  auto applied = co_await parts_.store.apply(std::move(batch));
  if (!applied) {
    parts_.log.error("a message could not be stored: " + applied.error().text());
    co_return refused(store_refusal(applied.error()));
  }
  Accepted& accepted = applied->accepted.at(0);
  note_accepted(accepted, meta, envelope, recipients);
  const QueueId id = accepted.id;
  if (!accepted.claims.empty()) {
    parts_.ready.offer(std::move(accepted.claims));
  } else if (!accepted.duplicate) {
    parts_.ready.look_again();
  }
  co_return Acceptance{id, {}};
}

void Intake::note_accepted(const Accepted& accepted, const MessageMeta& meta, const Envelope& envelope,
                           std::size_t recipients) {
  const std::string& where = envelope.trace.listener.empty() ? envelope.origin : envelope.trace.listener;
  if (!accepted.duplicate) parts_.metrics.counter("messages_accepted_total", {{"listener", where}}).add();
  Fields fields;
  fields.add("msg", accepted.id.text()).add("user", meta.user);
  fields.add_address("from", meta.reverse_path.empty() ? "" : meta.reverse_path.text());
  fields.add_address("to", envelope.recipients.front().address.text());
  fields.add("recipients", static_cast<std::uint64_t>(recipients));
  fields.add("size", meta.prefix_size + meta.body_size);
  fields.add("ip", envelope.trace.client_ip)
      .add("origin", meta.origin)
      .add("listener", envelope.trace.listener);
  fields.add("message_id", meta.message_id);
  if (!envelope.trace.tls.empty()) {
    const std::size_t space = envelope.trace.tls.find(' ');
    Fields tls;
    tls.add("version", std::string_view(envelope.trace.tls).substr(0, space));
    if (space != std::string::npos) tls.add("cipher", std::string_view(envelope.trace.tls).substr(space + 1));
    fields.add("tls", tls);
  }
  if (accepted.duplicate) fields.add("duplicate", true);
  parts_.log.event("accepted", fields);
}

}  // namespace holdfast
