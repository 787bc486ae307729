// config/diagnostic.h — what is wrong with a configuration, where, and what mends it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// Where a value came from.
struct Origin {
  std::string source = "default";  // a file's path, "environment HOLDFAST_STS__MODE" or "default"
  unsigned line = 0, column = 0;   // from 1; 0 = does not apply
  std::string print() const;       // "/etc/holdfast/holdfast.toml:12:3"
  bool operator==(const Origin&) const = default;
};

struct Diagnostic {
  Origin origin;
  std::string key;            // "delivery.expire", "user[1].senders"; may be empty
  std::string text;           // what is wrong; what to do
  std::string print() const;  // "FILE:12:3: delivery.expire: …"
};

// How many letters must be inserted, removed, replaced or swapped with their neighbour to turn a into b.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate that `word` was probably meant to be; "" when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace holdfast
