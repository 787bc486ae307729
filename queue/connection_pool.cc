#include "queue/connection_pool.h"

#include <algorithm>

namespace holdfast {
namespace {

// Idle connections a worker keeps at the most: each costs a socket and TLS state.
constexpr std::size_t kMostIdle = 200;
// QUITs under way at the most; beyond that connections are just closed.
constexpr std::size_t kMostGoodbyes = 50;

}  // namespace

std::string budget_host(const ConnectionKey& key) { return key.mx.empty() ? ip_text(key.ip) : key.mx; }

bool is_ipv6(const IpBytes& ip) {
  static constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return !std::equal(kMapped.begin(), kMapped.end(), ip.begin());
}

ConnectionPool::ConnectionPool(Executor executor, Clock& clock, ConnectionBudget& budget,
                               std::function<void(std::string)> on_bug)
    : clock_(clock),
      budget_(budget),
      goodbyes_(executor, std::move(on_bug)),
      timer_(clock.make_timer(executor)) {}

ConnectionPool::~ConnectionPool() = default;

std::unique_ptr<Connection> ConnectionPool::take(const ConnectionKey& key,
                                                 const TlsRequirement& requirement) {
  const auto found = idle_.find(key);
  if (found == idle_.end()) return nullptr;
  auto& list = found->second;
  std::unique_ptr<Connection> taken;
  for (std::size_t i = list.size(); i-- > 0;) {
    auto& connection = list[i].connection;
    const bool alive = connection->session->usable();
    if (alive && !satisfies(connection->session->evidence(), requirement)) continue;
    if (alive) taken = std::move(connection);
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    --size_;
    if (taken) break;
  }
  if (list.empty()) idle_.erase(found);
  return taken;
}

bool ConnectionPool::spent(const Connection& connection, unsigned messages_per_connection) {
  const std::size_t told = connection.session->extensions().mail_max;
  return (messages_per_connection != 0 && connection.messages >= messages_per_connection) ||
         (told != 0 && connection.messages >= told);
}

void ConnectionPool::put(std::unique_ptr<Connection> connection, Duration idle,
                         unsigned messages_per_connection) {
  if (!connection->session->usable()) return;
  const bool over = stopped_ || spent(*connection, messages_per_connection);
  const SteadyTime now = clock_.now();
  if (over || idle.count() <= 0 || budget_.give_way(budget_host(connection->key), now))
    return end(std::move(connection));
  if (size_ >= kMostIdle) shed("");
  Idle entry;
  entry.until = now + idle;
  const ConnectionKey key = connection->key;
  entry.connection = std::move(connection);
  idle_[key].push_back(std::move(entry));
  if (++size_ == 1) arm();
}

bool ConnectionPool::has_idle(const std::string& host) const {
  return std::any_of(idle_.begin(), idle_.end(),
                     [&](const auto& entry) { return budget_host(entry.first) == host; });
}

void ConnectionPool::shed(const std::string& host) {
  if (!host.empty()) {
    // One makes room for the one that was turned away; the others are as good as new ones.
    const auto now = clock_.now();
    if (!has_idle(host) || !budget_.give_way(host, now)) return;
  }
  auto oldest = idle_.end();
  for (auto at = idle_.begin(); at != idle_.end(); ++at) {
    if (!host.empty() && budget_host(at->first) != host) continue;
    if (oldest == idle_.end() || at->second.front().until < oldest->second.front().until) oldest = at;
  }
  if (oldest == idle_.end()) return;
  end(std::move(oldest->second.front().connection));
  oldest->second.erase(oldest->second.begin());
  --size_;
  if (oldest->second.empty()) idle_.erase(oldest);
}

void ConnectionPool::end(std::unique_ptr<Connection> connection) {
  if (!connection->session->usable() || goodbyes_.size() >= kMostGoodbyes) return;
  goodbyes_.spawn(say_goodbye(std::move(connection)));
}

asio::awaitable<void> ConnectionPool::say_goodbye(std::unique_ptr<Connection> connection) {
  co_await connection->session->quit();
}

void ConnectionPool::arm() {
  SteadyTime next = SteadyTime::max();
  for (const auto& [key, list] : idle_) next = std::min(next, list.front().until);
  if (next != SteadyTime::max()) timer_->arm(next, [this] { sweep(); });
}

void ConnectionPool::sweep() {
  const SteadyTime now = clock_.now();
  for (auto at = idle_.begin(); at != idle_.end();) {
    auto& list = at->second;
    while (!list.empty() && list.front().until <= now) {
      end(std::move(list.front().connection));
      list.erase(list.begin());
      --size_;
    }
    at = list.empty() ? idle_.erase(at) : std::next(at);
  }
  arm();
}

asio::awaitable<void> ConnectionPool::stop() {
  stopped_ = true;
  timer_->cancel();
  for (auto& [key, list] : idle_)
    for (auto& entry : list) end(std::move(entry.connection));
  idle_.clear();
  size_ = 0;
  co_await goodbyes_.drained();
}

}  // namespace holdfast
