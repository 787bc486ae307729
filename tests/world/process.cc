#include "tests/world/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <system_error>

namespace holdfast::world {
namespace {

struct Pipe {
  Fd read, write;
};

Pipe make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  return {Fd(fds[0]), Fd(fds[1])};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// In the standard error of a child built with a sanitizer.
bool has_sanitizer_report(const std::string& errors) {
  static constexpr const char* kReports[] = {"WARNING: ThreadSanitizer", "ERROR: AddressSanitizer",
                                             "ERROR: LeakSanitizer", ": runtime error: "};
  return std::any_of(std::begin(kReports), std::end(kReports),
                     [&](const char* report) { return errors.find(report) != std::string::npos; });
}

ssize_t read_retrying(int fd, char* data, std::size_t size) {
  ssize_t n = 0;
  do {
    n = ::read(fd, data, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

Process::Process(std::vector<std::string> arguments, std::vector<std::string> environment) {
  ::signal(SIGPIPE, SIG_IGN);  // writing to a child that has gone is an error to report, not our end
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe();
  for (char** name = environ; *name != nullptr; ++name) environment.emplace_back(*name);
  const auto argv = pointers(arguments);
  const auto envp = pointers(environment);
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive a test that crashes
    ::signal(SIGPIPE, SIG_DFL);
    ::dup2(in.read.get(), 0);
    ::dup2(out.write.get(), 1);
    ::dup2(err.write.get(), 2);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  out_reader_ = std::thread([this] { read_output(); });
  err_reader_ = std::thread([this] { read_errors(); });
  reaper_ = std::thread([this] { reap(); });
}

Process::~Process() {
  signal(SIGKILL);
  reaper_.join();
  out_reader_.join();
  err_reader_.join();
  // Whatever the test looked at, and however the child ended (mostly by the signal above, which hides its
  // exit code): a test whose relay races or corrupts its memory has failed.
  if (has_sanitizer_report(errors_)) {
    std::fprintf(stderr, "a sanitizer's report from process %d:\n%s", pid_, errors_.c_str());
    std::abort();
  }
}

void Process::signal(int number) {
  const std::lock_guard lock(mutex_);
  if (!code_) ::kill(pid_, number);
}

void Process::read_output() {
  std::string rest;
  char data[8192];
  for (ssize_t n = 0; (n = read_retrying(out_.get(), data, sizeof data)) > 0;) {
    rest.append(data, static_cast<std::size_t>(n));
    const std::lock_guard lock(mutex_);
    output_.append(data, static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string::npos;) {
      lines_.push_back(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
    changed_.notify_all();
  }
  const std::lock_guard lock(mutex_);
  if (!rest.empty()) lines_.push_back(rest);
  out_ended_ = true;
  changed_.notify_all();
}

void Process::read_errors() {
  char data[8192];
  for (ssize_t n = 0; (n = read_retrying(err_.get(), data, sizeof data)) > 0;) {
    const std::lock_guard lock(mutex_);
    errors_.append(data, static_cast<std::size_t>(n));
  }
  const std::lock_guard lock(mutex_);
  err_ended_ = true;
  changed_.notify_all();
}

void Process::reap() {
  siginfo_t info{};
  // Leaves the zombie in place until the lock is held: its number is not given to another before signal()
  // knows.
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  const std::lock_guard lock(mutex_);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  changed_.notify_all();
}

std::optional<int> Process::wait(Milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] { return code_ && out_ended_ && err_ended_; });
  return code_;
}

std::vector<std::string> Process::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

std::string Process::output() const {
  const std::lock_guard lock(mutex_);
  return output_;
}

std::string Process::errors() const {
  const std::lock_guard lock(mutex_);
  return errors_;
}

std::optional<std::string> Process::wait_for_line(const std::function<bool(const std::string&)>& wanted,
                                                  Milliseconds limit, std::size_t from) const {
  std::unique_lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    for (; from < lines_.size(); ++from) {
      if (wanted(lines_[from])) return lines_[from];
    }
    if (out_ended_) return std::nullopt;
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout && from == lines_.size())
      return std::nullopt;
  }
}

bool Process::write(const std::string& text) {
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t n = ::write(in_.get(), left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void Process::close_input() { in_.reset(); }

ProcessEnd run_process(std::vector<std::string> arguments, Milliseconds limit,
                       std::vector<std::string> environment, const std::string& input) {
  Process process(std::move(arguments), std::move(environment));
  process.write(input);
  process.close_input();
  ProcessEnd end;
  const auto code = process.wait(limit);
  end.code = code.value_or(124);
  end.out = process.output();
  end.err = process.errors();
  return end;
}

}  // namespace holdfast::world
