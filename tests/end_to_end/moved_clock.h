// tests/end_to_end/moved_clock.h — days pass for a relay: its wall clock is moved by moved_clock.c.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {

class MovedClock {
 public:
  // Sanitizers do not let a library be loaded before them.
  static std::string missing() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return "a sanitizer does not let the relay's clock be moved";
#else
    return "";
#endif
  }

  explicit MovedClock(const std::filesystem::path& folder)
      : library_(folder / "moved_clock.so"), offset_(folder / "relay-time") {
    const auto built = run_process({"cc", "-shared", "-fPIC", "-O1", "-o", library_.string(),
                                    HOLDFAST_SOURCE_DIR "/tests/end_to_end/moved_clock.c"});
    EXPECT_EQ(built.code, 0) << built.err;
    move_by(std::chrono::seconds(0));
  }
  // From the true time. The relay's timeline follows the wall clock only from one start to the next.
  void move_by(std::chrono::seconds time) const {
    const std::int64_t seconds = time.count();
    std::fstream file(offset_, std::ios::binary | std::ios::in | std::ios::out);
    if (!file) file.open(offset_, std::ios::binary | std::ios::out);
    file.write(reinterpret_cast<const char*>(&seconds), sizeof seconds);
  }
  // What to start the relay with.
  std::vector<std::string> wrapper() const {
    return {"env", "LD_PRELOAD=" + library_.string(), "MOVED_CLOCK=" + offset_.string()};
  }

 private:
  std::filesystem::path library_, offset_;
};

}  // namespace holdfast::world
