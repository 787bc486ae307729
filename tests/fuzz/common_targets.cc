#include <algorithm>

#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {

std::uint64_t hash_of(std::string_view input) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : input) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

std::vector<Chunks> splits_of(std::string_view input) {
  std::vector<Chunks> all{{input}};
  Chunks octets;
  for (std::size_t i = 0; i < input.size(); ++i) octets.push_back(input.substr(i, 1));
  all.push_back(std::move(octets));
  if (input.size() < 3) return all;
  std::uint64_t hash = hash_of(input);
  for (int round = 0; round < 2; ++round, hash >>= 20) {
    const std::size_t first = hash % (input.size() - 1) + 1;
    const std::size_t second = first + (hash >> 10) % (input.size() - first);
    all.push_back({input.substr(0, first), input.substr(first, second - first), input.substr(second)});
    if (second == first) all.back().erase(all.back().begin() + 1);
  }
  return all;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool has_no_controls(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

std::string one_line(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out),
               [](char c) { return c != '\r' && c != '\n' && c != '\0'; });
  return out;
}

}  // namespace holdfast::fuzz
