#include "config/secret.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace holdfast {
namespace {

constexpr std::size_t never_inline = 32;  // more than any std::string keeps within itself

}  // namespace

void wipe(std::string& text) {
  text.resize(text.capacity());
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

std::string heap_text(std::string_view text) {
  std::string out;
  out.reserve(std::max(never_inline, text.size()));
  out = text;
  return out;
}

Secret::Secret(std::string_view text) : octets_(new char[text.size()]), size_(text.size()) {
  std::copy(text.begin(), text.end(), octets_.get());
}

Secret::Secret(Secret&& other) noexcept
    : octets_(std::move(other.octets_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  clear();
  octets_ = std::move(other.octets_);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

Secret::~Secret() { clear(); }

void Secret::clear() {
  if (octets_) OPENSSL_cleanse(octets_.get(), size_);
  size_ = 0;
}

std::optional<Secret> read_secret_file(const std::filesystem::path& path, std::size_t most) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  Secret content;
  content.octets_.reset(new char[most]);
  content.size_ = most;  // all of it is wiped, whatever happens
  std::size_t done = 0;
  ssize_t count = 0;
  while (done < most && (count = ::read(file, content.octets_.get() + done, most - done)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    done += static_cast<std::size_t>(count);
  }
  const int cause = errno;
  ::close(file);
  errno = cause;
  if (count < 0) return std::nullopt;
  return Secret({content.octets_.get(), done});
}

}  // namespace holdfast
