// tests/world/process.h — a child process whose output is read line by line and can be waited for.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/world/net.h"

namespace holdfast::world {

struct ProcessEnd {
  int code = 0;  // the exit code; 128 + signal when a signal ended it
  std::string out, err;
};

class Process {
 public:
  // Starts it at once; arguments[0] is looked up in PATH. `environment` is added to ours, as "NAME=value".
  explicit Process(std::vector<std::string> arguments, std::vector<std::string> environment = {});
  ~Process();  // kills it when it still runs; ends this program when it wrote a sanitizer's report
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number);  // nothing when it has ended
  std::optional<int> wait(Milliseconds limit);
  std::vector<std::string> lines() const;  // of standard output
  std::string output() const;              // standard output, whole
  std::string errors() const;              // standard error, whole
  // Looks at each line of standard output once, from number `from` on, old or new, until one is wanted.
  std::optional<std::string> wait_for_line(const std::function<bool(const std::string&)>& wanted,
                                           Milliseconds limit, std::size_t from = 0) const;
  bool write(const std::string& text);  // to its standard input
  void close_input();

 private:
  void read_output();
  void read_errors();
  void reap();

  pid_t pid_ = -1;
  Fd in_, out_, err_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> lines_;
  std::string output_, errors_;
  bool out_ended_ = false, err_ended_ = false;
  std::optional<int> code_;
  std::thread out_reader_, err_reader_, reaper_;
};

// Runs a program to its end. Code 124 when it took longer than `limit`.
ProcessEnd run_process(std::vector<std::string> arguments, Milliseconds limit = Milliseconds(60000),
                       std::vector<std::string> environment = {}, const std::string& input = {});

}  // namespace holdfast::world
