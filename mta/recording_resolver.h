// mta/recording_resolver.h — a Resolver that remembers what it was answered: the evidence of a dry run.
#pragma once

#include <string>
#include <vector>

#include "smtp/dns/resolver.h"

namespace holdfast {

struct SeenAnswer {
  std::string name;
  RecordType type = RecordType::a;
  DnsAnswer answer;
};

// Used on the executor of `next`, which outlives it.
class RecordingResolver final : public Resolver {
 public:
  explicit RecordingResolver(Resolver& next) : next_(next) {}

  asio::awaitable<DnsAnswer> query(std::string name, RecordType type) override {
    DnsAnswer answer = co_await next_.query(name, type);
    bool known = false;
    for (const SeenAnswer& seen : seen_) known = known || (seen.type == type && seen.name == name);
    if (!known) {
      SeenAnswer seen;
      seen.name = std::move(name);
      seen.type = type;
      seen.answer = answer;
      seen_.push_back(std::move(seen));
    }
    co_return answer;
  }
  // Each question once, in the order in which the answers came.
  const std::vector<SeenAnswer>& seen() const { return seen_; }

 private:
  Resolver& next_;
  std::vector<SeenAnswer> seen_;
};

}  // namespace holdfast
