// queue/ready_work.h — how freshly accepted mail reaches the scheduler without a detour through the disk.
#pragma once

#include <vector>

#include "queue/store.h"

namespace holdfast {

// Both methods are thread-safe and do not block.
class ReadyWork {
 public:
  virtual ~ReadyWork() = default;
  // Room in memory for more claims? If not, intake leaves the recipients to the next sweep (Accept::claim =
  // false).
  virtual bool has_room() const = 0;
  virtual void offer(std::vector<Claim> claims) = 0;
  // Something was accepted unclaimed, released or retried by the operator: look at the store again.
  virtual void look_again() = 0;
};

}  // namespace holdfast
