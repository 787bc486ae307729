// sts/shared_lines.h — lines that many hold and nobody changes: the text of a policy and its mx patterns.
//
// A policy stands in the cache, in each plan that follows it, in each MX of the plan and in the ledger's
// rows. A copy of it costs a pointer, whatever the domain has published.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

class SharedLines {
 public:
  using value_type = std::string;
  using const_iterator = std::vector<std::string>::const_iterator;
  using iterator = const_iterator;

  SharedLines() = default;
  SharedLines(std::vector<std::string> lines)  // NOLINT(google-explicit-constructor): they are the same
      : lines_(lines.empty() ? nullptr : std::make_shared<const std::vector<std::string>>(std::move(lines))) {
  }
  SharedLines(std::initializer_list<std::string> lines) : SharedLines(std::vector<std::string>(lines)) {}

  const std::vector<std::string>& list() const {
    static const std::vector<std::string> none;
    return lines_ ? *lines_ : none;
  }
  operator const std::vector<std::string>&() const { return list(); }  // NOLINT(google-explicit-constructor)

  const_iterator begin() const { return list().begin(); }
  const_iterator end() const { return list().end(); }
  bool empty() const { return lines_ == nullptr; }
  std::size_t size() const { return list().size(); }
  const std::string& front() const { return list().front(); }
  const std::string& back() const { return list().back(); }
  const std::string& operator[](std::size_t index) const { return list()[index]; }

  // What they take in memory, once.
  std::size_t octets() const {
    std::size_t sum = 0;
    for (const std::string& line : list()) sum += sizeof line + line.size();
    return sum;
  }

  friend bool operator==(const SharedLines& a, const SharedLines& b) {
    return a.lines_ == b.lines_ || a.list() == b.list();
  }

 private:
  std::shared_ptr<const std::vector<std::string>> lines_;  // never empty
};

}  // namespace holdfast
