// queue/deliverer.h — the deliveries of one worker: its connections, its memory of dead addresses, its
// results.
//
// Each grant is one DeliveryJob in a task group; abort() cancels them. Results go through the DeliveryWriter,
// which is drained before close() returns. All public methods may be called on any executor.
#pragma once

#include "queue/connection_pool.h"
#include "queue/delivery_agent.h"
#include "queue/delivery_context.h"
#include "queue/delivery_writer.h"

namespace holdfast {

class Deliverer final : public DeliveryAgent {
 public:
  // What `context` refers to, and `sink`, outlive it.
  Deliverer(DeliveryContext context, GrantSink& sink);

  void start(Grant grant) override;
  void dispose(Disposal disposal) override;
  void shed_idle(std::string mx_host) override;
  void forget_failures() override;
  void abort() override;
  asio::awaitable<void> close() override;

 private:
  asio::awaitable<void> run(Grant grant);
  asio::awaitable<void> run_disposal(Disposal disposal);
  asio::awaitable<void> close_here();

  DeliveryContext context_;
  GrantSink& sink_;
  DeadAddresses dead_;
  DeliveryMetrics metrics_;
  ConnectionPool pool_;
  DeliveryWriter writer_;
  TaskGroup deliveries_;
  TaskGroup disposals_;
  std::unique_ptr<Timer> closing_;
};

}  // namespace holdfast
