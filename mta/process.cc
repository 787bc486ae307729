#include "mta/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "smtp/base/base_error.h"
#include "smtp/base/directory.h"

namespace holdfast {

void harden_process() {
  ::umask(0077);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of the write, not the end of the process
}

Result<void> prepare_data_dir(const std::filesystem::path& data_dir, std::string& warning) {
  if (const auto made = make_directories(data_dir); !made)
    return Error(BaseError::io, "data_dir: " + made.error().detail);
  if (::access(data_dir.c_str(), R_OK | W_OK | X_OK) != 0) {
    return Error(BaseError::not_permitted, "data_dir: " + data_dir.string() + ": " + std::strerror(errno) +
                                               " (the relay runs as user " + std::to_string(::geteuid()) +
                                               ")");
  }
  struct stat state {};
  if (::stat(data_dir.c_str(), &state) != 0)
    return Error(BaseError::io, "data_dir: " + data_dir.string() + ": " + std::strerror(errno));
  // Who may write here can put another database in the place of ours. Our own group is ours: a volume of
  // Kubernetes belongs to it.
  const bool group_writes = (state.st_mode & S_IWGRP) != 0 && state.st_gid != ::getegid();
  if (group_writes || (state.st_mode & S_IWOTH) != 0) {
    return Error(BaseError::not_permitted, "data_dir: " + data_dir.string() +
                                               " may be written by others than the relay: chmod 0700 it, or "
                                               "name a directory that is the relay's alone");
  }
  if ((state.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    warning = data_dir.string() + " may be looked into by others (its files may not be read): chmod 0700 it";
  return {};
}

void notify_supervisor(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): nothing sets variables
  if (path == nullptr || *path == '\0') return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  // A supervisor that does not listen is its own loss.
  (void)::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  ::close(fd);
}

}  // namespace holdfast
