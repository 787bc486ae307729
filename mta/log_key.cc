#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "mta/log_writer.h"

namespace holdfast {
namespace {

constexpr std::size_t key_size = 32;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string read_key(const std::filesystem::path& file) {
  const Descriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  std::string key(key_size, '\0');
  if (in.get() < 0 || ::read(in.get(), key.data(), key.size()) != static_cast<ssize_t>(key_size)) return "";
  return key;
}

}  // namespace

std::string load_or_make_log_key(const std::filesystem::path& file, std::string& why) {
  if (std::string key = read_key(file); !key.empty()) return key;
  std::string key(key_size, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key.size())) != 1)
    throw std::runtime_error("the system's random generator gives nothing");
  // A torn file from an earlier crash is replaced; a key that another process made meanwhile is not ours to
  // use.
  const Descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (out.get() < 0 || ::write(out.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size()))
    why = file.string() + ": " + std::strerror(errno);
  return key;
}

}  // namespace holdfast
