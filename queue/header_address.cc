#include "queue/header_address.h"

#include <string>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

bool is_white(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Walks over the field once; `bare_` is what stands outside of angle brackets, `angle_` what stands within.
class MailboxParser {
 public:
  explicit MailboxParser(std::string_view text) : rest_(text) {}

  Result<std::vector<Mailbox>> parse() {
    while (!rest_.empty()) {
      const char c = rest_.front();
      bool good = true;
      if (is_white(c)) {
        rest_.remove_prefix(1);
        spaced_ = true;
        continue;
      }
      if (c == '(') {
        good = skip_comment();
        spaced_ = true;
      } else if (c == '"') {
        good = take_quoted(bare_);
      } else if (c == '[') {
        good = take_until(']', bare_);
      } else if (c == '<') {
        good = take_angle();
      } else if (c == ',' || c == ';') {
        rest_.remove_prefix(1);
        good = finish();
        if (c == ';') good = good && std::exchange(in_group_, false);
      } else if (c == ':') {
        rest_.remove_prefix(1);
        good = begin_group();
      } else {
        take_plain();
      }
      if (!good || after_angle_text_) return malformed();
    }
    if (!finish() || in_group_ || found_.empty()) return malformed();
    return std::move(found_);
  }

 private:
  Error malformed() const {
    return Error(BaseError::malformed,
                 problem_.empty() ? "an address field" : "an address field: " + problem_);
  }

  bool skip_comment() {
    int depth = 0;
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\\' && !rest_.empty()) rest_.remove_prefix(1);
      if (c == '(') ++depth;
      if (c == ')' && --depth == 0) return true;
    }
    return false;
  }

  void mark_text() {
    if (angle_) after_angle_text_ = true;  // "<a@one.example> b": which of the two?
    if (spaced_ && !bare_.empty()) bare_ += ' ';
    spaced_ = false;
  }

  bool take_quoted(std::string& into) {
    mark_text();
    into += '"';
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      into += c;
      if (c == '"') return true;
      if (c == '\\' && !rest_.empty()) {
        into += rest_.front();
        rest_.remove_prefix(1);
      }
    }
    return false;
  }

  bool take_until(char end, std::string& into) {
    mark_text();
    const std::size_t at = rest_.find(end);
    if (at == std::string_view::npos) return false;
    into += rest_.substr(0, at + 1);
    rest_.remove_prefix(at + 1);
    return true;
  }

  bool take_angle() {
    if (angle_) return false;
    rest_.remove_prefix(1);
    std::string inner;
    while (!rest_.empty() && rest_.front() != '>') {
      const char c = rest_.front();
      if (c == '"') {
        rest_.remove_prefix(1);
        inner += '"';
        bool closed = false;
        while (!rest_.empty() && !closed) {
          const char q = rest_.front();
          rest_.remove_prefix(1);
          inner += q;
          if (q == '\\' && !rest_.empty()) {
            inner += rest_.front();
            rest_.remove_prefix(1);
          }
          closed = q == '"';
        }
        if (!closed) return false;
      } else if (c == '<' || c == '(') {
        return false;
      } else {
        if (!is_white(c)) inner += c;
        rest_.remove_prefix(1);
      }
    }
    if (rest_.empty()) return false;
    rest_.remove_prefix(1);
    angle_ = true;
    address_ = std::move(inner);
    return true;
  }

  void take_plain() {
    mark_text();
    std::size_t size = 0;
    while (size < rest_.size() && !is_white(rest_[size]) &&
           std::string_view("(\"[<,;:").find(rest_[size]) == std::string_view::npos)
      ++size;
    bare_ += rest_.substr(0, size);
    rest_.remove_prefix(size);
  }

  bool begin_group() {
    if (in_group_ || angle_ || bare_.empty() || bare_.find('@') != std::string::npos) return false;
    in_group_ = true;
    bare_.clear();
    return true;
  }

  // The end of one element of the list; an empty one is allowed (obsolete syntax, section 4.4).
  bool finish() {
    const std::string text = angle_ ? address_ : bare_;
    const bool nothing = !angle_ && bare_.empty();
    bare_.clear();
    address_.clear();
    angle_ = spaced_ = false;
    if (nothing) return true;
    auto mailbox = Mailbox::parse(text);
    if (!mailbox) {
      problem_ = mailbox.error().detail;
      return false;
    }
    found_.push_back(std::move(*mailbox));
    return true;
  }

  std::string_view rest_;
  std::string bare_, address_, problem_;
  bool angle_ = false, spaced_ = false, in_group_ = false, after_angle_text_ = false;
  std::vector<Mailbox> found_;
};

}  // namespace

Result<std::vector<Mailbox>> parse_mailboxes(std::string_view value) { return MailboxParser(value).parse(); }

}  // namespace holdfast
