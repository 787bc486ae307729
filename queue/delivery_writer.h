// queue/delivery_writer.h — brings the results of one worker's deliveries to the store.
//
// One apply() at a time, with everything that came in meanwhile: a group commit that clocks itself. A result
// that could not be written is kept and written again, since a recipient recorded as delivered must never be
// tried again: only a store that has failed for good ends that. One that the store refuses for another reason
// (a damaged page) stays claimed and is told of in the log. What the log tells of a recipient's end, it
// tells after the store has it. A record whose notification speaks of recipients that are no longer ours is
// made anew without them. Lives on its worker's executor.
#pragma once

#include <deque>

#include "queue/delivery_context.h"
#include "queue/delivery_record.h"
#include "smtp/base/task_group.h"

namespace holdfast {

class DeliveryWriter {
 public:
  // Both outlive it.
  DeliveryWriter(const DeliveryContext& context, GrantSink& sink);

  void add(DeliveryRecord record);
  // All that was added is durable, or the store has failed for good.
  asio::awaitable<void> drained();
  // Stops repeating: the process ends, and the store gives the claims out again.
  void give_up();
  std::size_t waiting() const { return waiting_.size(); }

 private:
  asio::awaitable<void> run();
  asio::awaitable<void> write(std::vector<DeliveryRecord> records);
  // False: it will never be written.
  asio::awaitable<bool> write_one(DeliveryRecord record);
  asio::awaitable<DeliveryRecord> anew(DeliveryRecord record, std::vector<RecipientId> stale);
  void written(const std::vector<DeliveryRecord>& records, const ApplyResult& result);
  void lost(const std::vector<DeliveryRecord>& records, const Error& error);
  void refused(DeliveryRecord record, const Error& error);

  const DeliveryContext& context_;
  GrantSink& sink_;
  std::deque<DeliveryRecord> waiting_;
  bool running_ = false;
  TaskGroup group_;
};

}  // namespace holdfast
