// tests/world/net.h — blocking sockets for the servers of the test world.
//
// The world shares no code with the relay, so that it can tell whether the relay is right: it uses POSIX
// sockets and one thread per connection, where the relay uses Asio and coroutines. A server stops by shutting
// its connections down, which wakes every blocked read; only the thread that owns a socket closes it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace holdfast::world {

using Milliseconds = std::chrono::milliseconds;

struct Endpoint {
  std::string ip;  // "127.0.0.1" or "::1"
  std::uint16_t port = 0;
  std::string text() const;  // "127.0.0.1:25", "[::1]:25"
  bool operator==(const Endpoint&) const = default;
};

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// Port 0 lets the system pick; local_endpoint() tells which it was. All throw std::system_error.
Fd listen_tcp(const Endpoint& at);
Fd bind_udp(const Endpoint& at);
Fd connect_tcp(const Endpoint& to);
Endpoint local_endpoint(const Fd& fd);
Endpoint remote_endpoint(const Fd& fd);

// The bytes of one connection as they passed on the wire, in both directions.
class WireLog {
 public:
  void add_received(std::string_view bytes);
  void add_sent(std::string_view bytes);
  std::string received() const;
  std::string sent() const;

 private:
  mutable std::mutex mutex_;
  std::string received_, sent_;
};

// Bytes to and from a peer: a TCP connection or TLS over one. One thread reads and writes it.
class Channel {
 public:
  virtual ~Channel() = default;
  // Waits for at least one byte; 0 when the peer is gone, the wait was too long or the server stops.
  virtual std::size_t read(char* data, std::size_t size) = 0;
  virtual bool write(std::string_view data) = 0;
};

class Wire final : public Channel {
 public:
  explicit Wire(Fd fd);
  std::size_t read(char* data, std::size_t size) override;
  bool write(std::string_view data) override;
  void set_patience(Milliseconds limit) { patience_ = limit; }  // how long a read waits; 30 s
  // Waits until the peer has closed, the server stops or `limit` is over. True when the connection is gone.
  bool wait_for_end(Milliseconds limit);
  void half_close();  // no more is sent
  void stop();        // from any thread: ends every wait
  void reset();       // ends with RST instead of FIN
  Endpoint local() const { return local_; }
  Endpoint remote() const { return remote_; }
  const std::shared_ptr<WireLog>& log() const { return log_; }

 private:
  bool wait(short events, Milliseconds limit);

  Fd fd_;
  Endpoint local_, remote_;
  Milliseconds patience_{30000};
  std::shared_ptr<WireLog> log_ = std::make_shared<WireLog>();
};

// Accepts on one address and serves every connection on a thread of its own.
class Listener {
 public:
  using Serve = std::function<void(Wire&)>;
  Listener(const Endpoint& at, Serve serve);
  ~Listener();  // stops all connections and waits for their threads
  Endpoint endpoint() const { return endpoint_; }

 private:
  struct Client {
    std::shared_ptr<Wire> wire;
    std::atomic<bool> done = false;
    std::thread thread;
  };
  void accept_loop();
  void reap();

  Fd socket_, wake_;
  Endpoint endpoint_;
  Serve serve_;
  std::list<Client> clients_;  // of the acceptor's thread
  std::thread acceptor_;
};

}  // namespace holdfast::world
