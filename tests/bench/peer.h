// tests/bench/peer.h — one non-blocking connection of the load generator or the sink, in clear or under TLS.
//
// Plain epoll and OpenSSL, nothing of the relay's own code: what measures the relay must not share its bugs,
// and must cost as little as possible of the two cores it shares with it.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::bench {

class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  int fd() const { return fd_; }
  bool tls() const { return ssl_ != nullptr; }
  // Further octets are TLS. The handshake goes on by itself with fill() and flush().
  void start_tls(SSL_CTX* context, bool server);

  // Reads all that is there into `in`. False when the peer closed or the connection broke.
  bool fill();
  void say(std::string_view text) { out_ += text; }
  // Writes what it can. False when the connection broke.
  bool flush();
  bool wants_write() const { return wants_write_; }

  // Takes the next line (without CRLF) from `in`; false when none is whole.
  bool line(std::string_view& out);
  // Octets of `in` not yet taken, and taking some of them.
  std::string_view rest() const { return std::string_view(in_).substr(taken_); }
  void take(std::size_t octets);

 private:
  int fd_;
  SSL* ssl_ = nullptr;
  std::string in_, out_;
  std::size_t taken_ = 0;
  bool wants_write_ = false;
};

// A listening socket on 127.0.0.1:`port` (0: the system picks); the port bound comes back in `port`.
int listen_on(const std::string& address, std::uint16_t& port);
int connect_to(const std::string& address, std::uint16_t port);
void watch(int epoll, const Peer& peer, void* data, bool add);
double seconds_now();

[[noreturn]] void die(const std::string& why);

}  // namespace holdfast::bench
