// queue/operator_change.h — what the operator does to messages: hold, release, retry, remove, bounce.
//
// Every change leaves an entry in the history of its messages, and the origin of a message is told the end of
// its recipients. A bounce ends recipients only while they wait: one that is being tried at that moment may
// reach its goal, and its sender must not be told otherwise. Those are counted, and the operator asks again.
#pragma once

#include <string>
#include <vector>

#include "config/settings_source.h"
#include "queue/dkim_signer.h"
#include "queue/ready_work.h"
#include "queue/store.h"
#include "smtp/base/log.h"
#include "smtp/base/random.h"
#include "smtp/message_sink.h"

namespace holdfast {

struct ChangeCount {
  std::uint64_t changed = 0;  // recipients
  std::uint64_t active = 0;   // left alone, because they are being tried now
};

class OperatorHand {
 public:
  // All outlive it. `work` is told when mail becomes due.
  struct Parts {
    Store& store;
    ReadyWork& work;
    const SettingsSource& settings;
    const Timeline& timeline;
    Random& random;
    Log& log;
    MessageSigner* signer = nullptr;     // of notifications; nullptr: they go out unsigned
    OriginObserver* observer = nullptr;  // nullptr: nobody to tell
  };
  explicit OperatorHand(Parts parts) : parts_(parts) {}

  // The recipients to which `what` can be applied, out of `rows`: held ones can be released, queued ones
  // held.
  static std::vector<QueueRow> concerned(OperatorChange::What what, std::vector<QueueRow> rows);

  // `reason`: of a bounce; told to the sender. "" = our own words.
  asio::awaitable<Result<ChangeCount>> apply(OperatorChange::What what, std::vector<QueueRow> rows,
                                             std::string reason);

 private:
  // Recipients of one message and the batch that changes them.
  struct Part {
    std::vector<QueueRow> rows;
    Batch batch;
  };
  asio::awaitable<Result<ChangeCount>> bounce(std::vector<QueueRow> rows, std::string reason);
  asio::awaitable<Result<void>> bounce_together(std::vector<Part> parts, std::string reason,
                                                ChangeCount& count);
  asio::awaitable<Result<void>> bounce_alone(Part part, std::string reason, ChangeCount& count);
  asio::awaitable<Result<Part>> prepare(std::vector<QueueRow> rows, std::string reason);
  void bounced(const Part& part, const std::string& reason, ChangeCount& count);
  void tell_origin(const QueueRow& row, RecipientEnd::How how, const std::string& reason);

  Parts parts_;
};

}  // namespace holdfast
