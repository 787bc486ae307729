// tests/fuzz/mutator.h — small changes to an input, as libFuzzer makes them, but the same in every run and
// without Clang.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::fuzz {

class Mutator {
 public:
  // `corpus` outlives it: inputs are spliced with others.
  Mutator(std::uint64_t seed, const std::vector<std::string>& corpus) : state_(seed), corpus_(corpus) {}

  std::string mutate(std::string input) {
    for (std::uint64_t rounds = 1 + below(4); rounds > 0; --rounds) once(input);
    if (input.size() > kMaxSize) input.resize(kMaxSize);
    return input;
  }

 private:
  static constexpr std::size_t kMaxSize = 4096;

  // SplitMix64.
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }

  void once(std::string& input) {
    // What parsers stumble over.
    static constexpr std::array<std::string_view, 24> kTokens{"\r\n",
                                                              "\r",
                                                              "\n",
                                                              ".",
                                                              "\r\n.\r\n",
                                                              "\n.\n",
                                                              std::string_view("\0", 1),
                                                              " ",
                                                              "\t",
                                                              ";",
                                                              ":",
                                                              "=",
                                                              "\"",
                                                              "\\",
                                                              "<",
                                                              ">",
                                                              "(",
                                                              "\xff",
                                                              "\xc3\xa9",
                                                              "\xe2\x80\xa8",
                                                              "%",
                                                              "18446744073709551616",
                                                              "-1",
                                                              "\x1b[2J"};
    const std::size_t at = below(input.size() + 1);
    const std::size_t length = 1 + below(std::min<std::size_t>(input.size(), 16));
    switch (below(9)) {
      case 0:
        if (at < input.size()) input[at] ^= static_cast<char>(1U << below(8));
        break;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(next());
        break;
      case 2: input.insert(at, kTokens[below(kTokens.size())]); break;
      case 3: input.insert(at, 1, static_cast<char>(next())); break;
      case 4: input.erase(at, length); break;
      case 5: input.insert(at, input.substr(below(input.size() + 1), length)); break;
      case 6: input.resize(at); break;
      case 7: {
        const std::string& other = corpus_[below(corpus_.size())];
        input = input.substr(0, at) + other.substr(below(other.size() + 1));
        break;
      }
      default: input.insert(at, std::string(1 + below(100), at < input.size() ? input[at] : 'a')); break;
    }
  }

  std::uint64_t state_;
  const std::vector<std::string>& corpus_;
};

}  // namespace holdfast::fuzz
