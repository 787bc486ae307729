// smtp/server/failure_limiter.h — how often an address may fail to log in: a token bucket each, pure.
//
// A token is taken just before the password is looked at, and given back when it was right: so a hundred
// guesses at once do not slip through together, and a client that knows its password never runs out.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "config/network.h"
#include "config/settings.h"
#include "smtp/base/clock.h"
#include "smtp/server/client_network.h"

namespace holdfast {

class FailureLimiter {
 public:
  explicit FailureLimiter(Rate rate) : rate_(rate) {}

  // False: too many failures lately; nothing is taken.
  bool take(const IpBytes& client_ip, SteadyTime now);
  void give_back(const IpBytes& client_ip, SteadyTime now);
  // Would take() say no?
  bool exhausted(const IpBytes& client_ip, SteadyTime now) const;

  // A reload: what has been counted stays.
  void set_rate(Rate rate) { rate_ = rate; }
  std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    double tokens = 0;
    SteadyTime at{};
  };
  Bucket& bucket_of(const IpBytes& client_ip, SteadyTime now);
  void make_room(SteadyTime now);
  double tokens_at(const Bucket& bucket, SteadyTime now) const;

  Rate rate_;
  std::unordered_map<IpBytes, Bucket, IpHash> buckets_;
};

}  // namespace holdfast
