// A whole message through the store: accepted with one recipient, delivered, remembered. Synced, as ever.
#include <benchmark/benchmark.h>

#include "tests/queue/sqlite_under_test.h"

namespace holdfast {
namespace {

// range(0): messages of one batch, each a transaction; range(1): octets of a body.
void store_messages(benchmark::State& state) {
  SqliteUnderTest under_test;
  const auto random = make_system_random();
  Store& store = under_test.store();
  const auto group = static_cast<std::size_t>(state.range(0));
  std::string body = "Subject: x\r\n\r\n";
  while (body.size() < static_cast<std::size_t>(state.range(1))) body += std::string(72, 'x') + "\r\n";
  for (auto _ : state) {
    Batch in;
    for (std::size_t i = 0; i < group; ++i) {
      Accept accept;
      accept.meta.id = QueueId::make(under_test.clock().wall(), *random);
      accept.meta.accepted = accept.meta.release = under_test.clock().wall();
      accept.meta.expires = accept.meta.accepted + std::chrono::hours(24);
      accept.prefix = "Received: from a.example\r\n";
      accept.body = store.stage_body();
      run_to_end(accept.body->write(body)).value();
      run_to_end(accept.body->finish()).value();
      NewRecipient recipient;
      recipient.address = *Mailbox::parse("to@b.example");
      accept.recipients.push_back(recipient);
      accept.claim = true;
      in.accept.push_back(std::move(accept));
    }
    auto applied = run_to_end(store.apply(std::move(in)));
    if (!applied) {
      state.SkipWithError("not accepted");
      break;
    }
    Batch out;
    for (const Accepted& accepted : applied->accepted) {
      const Claim& claim = accepted.claims.front();
      out.complete.push_back(
          {claim.recipients.front().id, claim.token, RecipientState::delivered, "250 ok", "mx"});
      HistoryEntry entry;
      entry.message = accepted.id;
      entry.event = "delivered";
      entry.detail = "{}";
      out.history.push_back(std::move(entry));
    }
    if (!run_to_end(store.apply(std::move(out)))) {
      state.SkipWithError("not completed");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(group));
}
// CPU of all threads: the store's work is on threads of its own.
BENCHMARK(store_messages)
    ->Args({1, 2048})
    ->Args({8, 2048})
    ->Args({32, 2048})
    ->Args({32, 51200})
    ->Args({8, 262144})
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
}  // namespace holdfast
