// queue/connection_pool.h — idle connections of one worker, kept for a moment so that one handshake serves
// many messages.
//
// A connection is given out only for the very key it was opened under, and only when what it proved satisfies
// the requirement asked for now (satisfies() on its evidence): one that proved less can never serve a message
// that needs more. Lives on its worker's executor. stop() first, then destroy.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "queue/connection_budget.h"
#include "smtp/base/task_group.h"
#include "smtp/client/client_session.h"

namespace holdfast {

struct ConnectionKey {
  std::string destination;
  std::string mx;  // host name; "" for an address literal
  IpBytes ip{};
  std::uint16_t port = 0;
  std::string source;       // "" = any
  std::string server_name;  // SNI
  std::string credentials;  // a route's key: same user, same password, same terms
  bool implicit_tls = false;
  auto operator<=>(const ConnectionKey&) const = default;
};

// What limits per host count it by: the MX host's name, or the address where there is none.
std::string budget_host(const ConnectionKey& key);

// Not an IPv4 address in its mapped form.
bool is_ipv6(const IpBytes& ip);

struct TlsSummary;

struct Connection {
  ConnectionKey key;
  std::shared_ptr<const TlsSummary> tls;  // for the log
  std::unique_ptr<ClientSession> session;
  ConnectionBudget::Place place;
  unsigned messages = 0;        // transactions so far
  bool clear_fallback = false;  // TLS was offered and failed; this one was opened in clear after it
  SteadyTime opened{};
};

class ConnectionPool {
 public:
  ConnectionPool(Executor executor, Clock& clock, ConnectionBudget& budget,
                 std::function<void(std::string)> on_bug);
  ~ConnectionPool();

  // The most recently used idle connection that will do; nullptr when there is none.
  std::unique_ptr<Connection> take(const ConnectionKey& key, const TlsRequirement& requirement);
  // Keeps it for `idle`, unless it is spent, broken, or others wait for a connection to its MX: then it says
  // QUIT.
  void put(std::unique_ptr<Connection> connection, Duration idle, unsigned messages_per_connection);
  // Ends the idle connection to the host (budget_host()) that has waited longest, if one is wanted; the
  // oldest one of all when `host` is empty.
  void shed(const std::string& host);
  // May no further message go over it?
  static bool spent(const Connection& connection, unsigned messages_per_connection);
  // Says QUIT in the background.
  void end(std::unique_ptr<Connection> connection);
  std::size_t size() const { return size_; }
  asio::awaitable<void> stop();

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    SteadyTime until{};
  };
  bool has_idle(const std::string& host) const;
  void arm();
  void sweep();
  asio::awaitable<void> say_goodbye(std::unique_ptr<Connection> connection);

  Clock& clock_;
  ConnectionBudget& budget_;
  std::map<ConnectionKey, std::vector<Idle>> idle_;
  std::size_t size_ = 0;
  bool stopped_ = false;
  TaskGroup goodbyes_;
  std::unique_ptr<Timer> timer_;
};

}  // namespace holdfast
