// tests/fakes/recording_work.h — in the scheduler's place: keeps what it is offered.
#pragma once

#include <iterator>
#include <vector>

#include "queue/ready_work.h"

namespace holdfast {

class RecordingWork final : public ReadyWork {
 public:
  bool has_room() const override { return room; }
  void offer(std::vector<Claim> claims) override {
    std::move(claims.begin(), claims.end(), std::back_inserter(offered));
  }
  void look_again() override { ++looks; }
  bool room = true;
  int looks = 0;
  std::vector<Claim> offered;
};

}  // namespace holdfast
