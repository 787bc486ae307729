#include "tests/world/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace holdfast::world {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

Address address_of(const Endpoint& endpoint) {
  Address address;
  auto* four = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* six = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, endpoint.ip.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(endpoint.port);
    address.size = sizeof(sockaddr_in);
  } else if (inet_pton(AF_INET6, endpoint.ip.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(endpoint.port);
    address.size = sizeof(sockaddr_in6);
  } else {
    throw std::invalid_argument("not an address: " + endpoint.ip);
  }
  return address;
}

Endpoint endpoint_of(const Address& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
    return {text, ntohs(six->sin6_port)};
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(&address.storage);
  inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
  return {text, ntohs(four->sin_port)};
}

Fd open_socket(const Endpoint& at, int type, Address& address) {
  address = address_of(at);
  Fd fd(::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
  if (!fd) fail("socket");
  return fd;
}

}  // namespace

std::string Endpoint::text() const {
  const bool six = ip.find(':') != std::string::npos;
  return (six ? "[" + ip + "]" : ip) + ":" + std::to_string(port);
}

Fd& Fd::operator=(Fd&& other) noexcept {
  reset();
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Fd listen_tcp(const Endpoint& at) {
  Address address;
  Fd fd = open_socket(at, SOCK_STREAM, address);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), address.get(), address.size) != 0) fail("bind " + at.text());
  if (::listen(fd.get(), 1024) != 0) fail("listen " + at.text());
  return fd;
}

Fd bind_udp(const Endpoint& at) {
  Address address;
  Fd fd = open_socket(at, SOCK_DGRAM, address);
  if (::bind(fd.get(), address.get(), address.size) != 0) fail("bind " + at.text());
  return fd;
}

Fd connect_tcp(const Endpoint& to) {
  Address address;
  Fd fd = open_socket(to, SOCK_STREAM, address);
  if (::connect(fd.get(), address.get(), address.size) != 0) fail("connect " + to.text());
  return fd;
}

Endpoint local_endpoint(const Fd& fd) {
  Address address;
  address.size = sizeof address.storage;
  if (::getsockname(fd.get(), address.get(), &address.size) != 0) fail("getsockname");
  return endpoint_of(address);
}

Endpoint remote_endpoint(const Fd& fd) {
  Address address;
  address.size = sizeof address.storage;
  if (::getpeername(fd.get(), address.get(), &address.size) != 0) return {};  // already gone
  return endpoint_of(address);
}

void WireLog::add_received(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  received_ += bytes;
}
void WireLog::add_sent(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  sent_ += bytes;
}
std::string WireLog::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}
std::string WireLog::sent() const {
  const std::lock_guard lock(mutex_);
  return sent_;
}

Wire::Wire(Fd fd) : fd_(std::move(fd)), local_(local_endpoint(fd_)), remote_(remote_endpoint(fd_)) {
  const int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool Wire::wait(short events, Milliseconds limit) {
  pollfd poll_fd{fd_.get(), events, 0};
  int ready = 0;
  do {
    ready = ::poll(&poll_fd, 1, static_cast<int>(limit.count()));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

std::size_t Wire::read(char* data, std::size_t size) {
  if (!wait(POLLIN, patience_)) return 0;
  const ssize_t n = ::recv(fd_.get(), data, size, 0);
  if (n <= 0) return 0;
  log_->add_received({data, static_cast<std::size_t>(n)});
  return static_cast<std::size_t>(n);
}

bool Wire::write(std::string_view data) {
  while (!data.empty()) {
    if (!wait(POLLOUT, patience_)) return false;
    const ssize_t n = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return false;
    log_->add_sent(data.substr(0, static_cast<std::size_t>(n)));
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool Wire::wait_for_end(Milliseconds limit) { return wait(POLLRDHUP, limit); }
void Wire::half_close() { ::shutdown(fd_.get(), SHUT_WR); }
void Wire::stop() { ::shutdown(fd_.get(), SHUT_RDWR); }

void Wire::reset() {
  sockaddr nowhere{};  // disconnecting a TCP socket sends RST and keeps the descriptor
  nowhere.sa_family = AF_UNSPEC;
  ::connect(fd_.get(), &nowhere, sizeof nowhere);
}

Listener::Listener(const Endpoint& at, Serve serve)
    : socket_(listen_tcp(at)), wake_(::eventfd(0, EFD_CLOEXEC)), serve_(std::move(serve)) {
  endpoint_ = local_endpoint(socket_);
  acceptor_ = std::thread([this] { accept_loop(); });
}

Listener::~Listener() {
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) != static_cast<ssize_t>(sizeof one)) std::abort();
  acceptor_.join();
  socket_.reset();
  for (auto& client : clients_) client.wire->stop();
  for (auto& client : clients_) client.thread.join();
}

void Listener::accept_loop() {
  for (;;) {
    pollfd fds[2] = {{socket_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    Fd fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) continue;
    reap();
    auto& client = clients_.emplace_back();
    client.wire = std::make_shared<Wire>(std::move(fd));
    client.thread = std::thread([this, &client] {
      serve_(*client.wire);
      client.wire->stop();
      client.done = true;
    });
  }
}

void Listener::reap() {
  for (auto it = clients_.begin(); it != clients_.end();) {
    if (it->done) {
      it->thread.join();
      it = clients_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace holdfast::world
