// tests/crash_matrix/judge.h — is what a life left behind what the store promised? Recovers it twice.
//
// A step that is done must be there, one that did not begin must not, and one that was cut off must be there
// wholly or not at all (invariants 1, 2, 3, 4, 5, 6, 7, 9, 10). Then the queue must still empty to nothing.
#pragma once

#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/crash_matrix/life.h"

namespace holdfast {

class Judge {
 public:
  // `life` is not open. `said`: what it said before it ended.
  Judge(Life& life, const std::vector<std::string>& said);

  // What is wrong, in words; nothing when all is well. To be called once: it empties the queue.
  std::vector<std::string> judge();

 private:
  struct Row {
    RecipientState state = RecipientState::queued;
    unsigned attempts = 0;
    bool operator==(const Row&) const = default;
  };
  using Picture = std::map<std::string, Row>;  // by message and address

  void judge_failed_syncs(const std::string& line, const std::string& name);
  void expect(bool holds, const std::string& otherwise);
  bool look(Picture& picture);  // opens; false when that fails
  const Row* find(const Picture& picture, char message, const std::string& to) const;
  void step(const std::string& name, std::initializer_list<bool> parts);
  void judge_steps(const Picture& picture);
  void judge_bodies(const Picture& picture);
  void judge_quota();
  std::string content(char name);
  std::size_t files() const;
  void everything_leaves();

  Life& life_;
  std::set<std::string> begun_, done_;
  bool sync_failed_ = false;
  std::vector<std::string> wrong_;
};

}  // namespace holdfast
