// queue/header_collector.h — finds the end of the header section in content that comes in chunks. Pure.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

class HeaderCollector {
 public:
  explicit HeaderCollector(std::size_t limit) : limit_(limit) {}

  enum class State {
    collecting,
    complete,
    too_long,  // no end within the limit
  };
  // Chunks until the state is another than `collecting`.
  State feed(std::string_view chunk);
  // The content has ended.
  State end();

  // Once complete: the lines of the section, each with its CRLF, without the empty line.
  std::string_view header() const { return std::string_view(text_).substr(0, header_size_); }
  // An empty line ended it. Without one the section ended with the content, or there is none: the first line
  // is no field and already belongs to the body.
  bool has_empty_line() const { return empty_line_; }
  // What came behind the section and its empty line.
  std::string_view rest() const {
    return std::string_view(text_).substr(header_size_ + (empty_line_ ? 2 : 0));
  }

 private:
  State complete(std::size_t size, bool empty_line);

  std::size_t limit_;
  std::string text_;
  std::size_t scanned_ = 0;
  std::size_t header_size_ = 0;
  bool first_line_seen_ = false;
  bool empty_line_ = false;
};

}  // namespace holdfast
