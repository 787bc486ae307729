#include "tests/bench/peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace holdfast::bench {

Peer::~Peer() {
  if (ssl_ != nullptr) {
    SSL_shutdown(ssl_);  // one way is enough: the socket goes next
    SSL_free(ssl_);
  }
  ::close(fd_);
}

void Peer::start_tls(SSL_CTX* context, bool server) {
  ssl_ = SSL_new(context);
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) die("SSL_new");
  SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (server) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
  }
}

bool Peer::fill() {
  if (taken_ == in_.size()) {
    in_.clear();
    taken_ = 0;
  } else if (taken_ > 65536) {
    in_.erase(0, taken_);
    taken_ = 0;
  }
  char buffer[65536];
  while (true) {
    if (ssl_ != nullptr) {
      ERR_clear_error();  // what another connection left there would be taken for an error of this one
      const int got = SSL_read(ssl_, buffer, sizeof buffer);
      if (got > 0) {
        in_.append(buffer, static_cast<std::size_t>(got));
        continue;
      }
      const int error = SSL_get_error(ssl_, got);
      if (error == SSL_ERROR_WANT_WRITE) wants_write_ = true;
      return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    }
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got > 0) {
      in_.append(buffer, static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < sizeof buffer) return true;
      continue;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
}

bool Peer::flush() {
  wants_write_ = false;
  std::size_t sent = 0;
  while (sent < out_.size()) {
    ssize_t done = 0;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      const int wrote = SSL_write(ssl_, out_.data() + sent, static_cast<int>(out_.size() - sent));
      if (wrote <= 0) {
        const int error = SSL_get_error(ssl_, wrote);
        wants_write_ = error == SSL_ERROR_WANT_WRITE;
        out_.erase(0, sent);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
      }
      done = wrote;
    } else {
      done = ::send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
      if (done < 0) {
        wants_write_ = errno == EAGAIN;
        out_.erase(0, sent);
        return errno == EAGAIN || errno == EINTR;
      }
    }
    sent += static_cast<std::size_t>(done);
  }
  out_.clear();
  return true;
}

bool Peer::line(std::string_view& out) {
  const auto here = rest();
  const auto end = here.find("\r\n");
  if (end == std::string_view::npos) return false;
  out = here.substr(0, end);
  taken_ += end + 2;
  return true;
}

void Peer::take(std::size_t octets) { taken_ += octets; }

namespace {

sockaddr_in address_of(const std::string& address, std::uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  if (inet_pton(AF_INET, address.c_str(), &in.sin_addr) != 1) die(address + " is no IPv4 address");
  return in;
}

}  // namespace

int listen_on(const std::string& address, std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  // What it accepts inherits this. Without it a reply may wait 40 ms for the acknowledgement of the one
  // before.
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  auto in = address_of(address, port);
  socklen_t size = sizeof in;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&in), size) != 0 || ::listen(fd, 4096) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&in), &size) != 0) {
    die("listening on " + address + ": " + std::strerror(errno));
  }
  port = ntohs(in.sin_port);
  return fd;
}

int connect_to(const std::string& address, std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const auto in = address_of(address, port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in) != 0 && errno != EINPROGRESS) {
    die("connecting to " + address + ":" + std::to_string(port) + ": " + std::strerror(errno));
  }
  return fd;
}

void watch(int epoll, const Peer& peer, void* data, bool add) {
  epoll_event event{};
  event.events = EPOLLIN | (peer.wants_write() || add ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
  event.data.ptr = data;
  if (::epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, peer.fd(), &event) != 0) die("epoll_ctl");
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

}  // namespace holdfast::bench
