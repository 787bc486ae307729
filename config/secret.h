// config/secret.h — passwords and keys in memory: overwritten once they have served.
//
// A std::string leaves copies behind: a short one is copied when it is moved, a growing one frees its old
// octets as they are. What holds a secret is therefore a Secret, or a heap_text() that is given to wipe() at
// its end. Tests look for passwords in the memory of the running relay (tests/end_to_end/secrets_test.cc).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// Overwrites the text and whatever else stands in its memory; leaves it empty.
void wipe(std::string& text);

// A string that keeps its octets outside itself, however short: moving it leaves nothing behind.
std::string heap_text(std::string_view text);

// Wipes a string when the scope ends, however it does.
class WipeAtEnd {
 public:
  explicit WipeAtEnd(std::string& text) : text_(text) {}
  ~WipeAtEnd() { wipe(text_); }
  WipeAtEnd(const WipeAtEnd&) = delete;
  WipeAtEnd& operator=(const WipeAtEnd&) = delete;

 private:
  std::string& text_;
};

// Text that is wiped when it ends, and not left behind when it is moved.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view text);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  std::string_view text() const { return {octets_.get(), size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  friend std::optional<Secret> read_secret_file(const std::filesystem::path& path, std::size_t most);
  void clear();
  std::unique_ptr<char[]> octets_;
  std::size_t size_ = 0;
};

// The file's content, at most `most` octets of it, read past the library's buffers. nullopt: errno says why.
std::optional<Secret> read_secret_file(const std::filesystem::path& path, std::size_t most);

}  // namespace holdfast
