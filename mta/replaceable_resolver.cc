#include "mta/replaceable_resolver.h"

namespace holdfast {

struct ReplaceableResolver::Pair {
  Pair(std::unique_ptr<CaresResolver> resolver, Clock& clock)
      : cares(std::move(resolver)), cache(*cares, clock) {}
  std::unique_ptr<CaresResolver> cares;
  CachingResolver cache;
};

Result<void> ReplaceableResolver::replace(const DnsServers& servers, Millis timeout) {
  auto cares = CaresResolver::create(executor_, clock_, random_, metrics_, servers, timeout);
  if (!cares) return cares.error();
  current_ = std::make_shared<Pair>(std::move(*cares), clock_);
  return {};
}

asio::awaitable<DnsAnswer> ReplaceableResolver::query(std::string name, RecordType type) {
  // The query that is under way keeps its resolver.
  auto pair = current_;
  if (!pair) co_return DnsAnswer();  // closed: nothing is known
  auto asked = pair->cache.query(std::move(name), type);
  co_return co_await std::move(asked);
}

}  // namespace holdfast
