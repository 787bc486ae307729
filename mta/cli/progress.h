// mta/cli/progress.h — a bar on standard error while a command takes long.
//
// It is drawn only where standard error is a terminal and no JSON was asked for, only once the work has taken
// kPatience, and is erased at the end: what a command prints is the same with and without it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "mta/cli/common.h"

namespace holdfast {

class Progress {
 public:
  static constexpr std::chrono::milliseconds kPatience{300}, kEvery{100};

  // May a bar be drawn?
  static bool shown(const CommonOptions& common);

  // `total` 0: nobody knows how far it is; then a mark wanders to and fro, and the seconds are counted.
  Progress(bool shown, std::string what, std::size_t total = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::size_t by = 1);
  // Erases it for the moment, for a line that is to stay; nothing else may write to standard error meanwhile.
  void clear();

 private:
  void draw();  // by the thread, under the mutex

  const std::string what_;
  const std::size_t total_;
  const std::chrono::steady_clock::time_point began_;
  std::size_t done_ = 0;
  bool drawn_ = false, ended_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

// The bar as text, without the line's end; at most `width` columns. Pure.
std::string progress_text(const std::string& what, std::size_t done, std::size_t total,
                          std::chrono::milliseconds since, std::size_t width);

}  // namespace holdfast
