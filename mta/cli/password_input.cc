#include "mta/cli/password_input.h"

#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "config/secret.h"
#include "mta/cli/common.h"

namespace holdfast {
namespace {

// The terminal shows nothing while this lives.
class NoEcho {
 public:
  NoEcho() {
    active_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (active_) active_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  ~NoEcho() {
    if (active_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  termios before_{};
  bool active_ = false;
};

bool ask_unseen(const char* prompt, std::string& line) {
  std::cerr << prompt << std::flush;
  const NoEcho silence;
  const bool read = static_cast<bool>(std::getline(std::cin, line));
  std::cerr << '\n';
  return read;
}

UsersError first_line(std::istream& in, std::string& password, const std::string& from) {
  if (!std::getline(in, password)) return {exit_code::bad_data, from + " holds no password"};
  if (password.ends_with('\r')) password.pop_back();
  if (password.empty()) return {exit_code::bad_data, from + " holds no password"};
  return {};
}

}  // namespace

UsersError read_new_password(const std::filesystem::path& file, std::string& password) {
  if (!file.empty()) {
    errno = 0;
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      const int code = errno == EACCES ? exit_code::permission : exit_code::bad_data;
      return {code, file.string() + ": " + std::strerror(errno)};
    }
    return first_line(in, password, file.string());
  }
  if (!stdin_is_terminal()) return first_line(std::cin, password, "standard input");
  std::string again;
  const WipeAtEnd wiped(again);
  if (!ask_unseen("Password: ", password) || !ask_unseen("The same again: ", again))
    return {exit_code::bad_data, "no password was typed"};
  if (password != again) return {exit_code::bad_data, "the two passwords differ; nothing was changed"};
  if (password.empty()) return {exit_code::bad_data, "the password is empty; nothing was changed"};
  return {};
}

}  // namespace holdfast
