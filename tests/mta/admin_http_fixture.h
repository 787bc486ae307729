// tests/mta/admin_http_fixture.h — the admin endpoint on a thread of its own, and clients that block.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <thread>

#include "mta/admin_door.h"
#include "mta/admin_http.h"
#include "smtp/base/base_error.h"
#include "tests/fakes/capture.h"

namespace holdfast {

// Gives its parts one by one; an empty one at the end makes it fail.
class Parts final : public BodySource {
 public:
  explicit Parts(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  asio::awaitable<Result<std::string_view>> next() override {
    if (at_ == parts_.size()) co_return std::string_view();
    if (parts_[at_].empty()) co_return Error(BaseError::io, "the disk is gone");
    co_return std::string_view(parts_[at_++]);
  }

 private:
  std::vector<std::string> parts_;
  std::size_t at_ = 0;
};

inline asio::awaitable<AdminResponse> echo(AdminRequest request) {
  AdminResponse response;
  if (request.path == "/stream") {
    response.stream = std::make_shared<Parts>(std::vector<std::string>{"one ", "and two"});
    if (request.query.contains("sized")) response.stream_size = 11;
    co_return response;
  }
  if (request.path == "/broken") {
    response.stream = std::make_shared<Parts>(std::vector<std::string>{"one ", ""});
    co_return response;
  }
  if (request.path == "/trusted") {
    response.body = request.trusted ? "yes" : "no";
    co_return response;
  }
  response.body = request.method + " " + request.path + " " + std::to_string(request.body.size());
  co_return response;
}

class AdminHttpTest : public testing::Test {
 protected:
  AdminHttpTest() : guard_(context_.get_executor()), thread_([this] { context_.run(); }) {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-admin-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~AdminHttpTest() override {
    asio::co_spawn(context_, http_.stop(), asio::use_future).get();
    guard_.reset();
    thread_.join();
    std::filesystem::remove_all(folder_);
  }

  static std::string talk(int fd, const std::string& request) {
    EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    std::string reply;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      reply.append(buffer, static_cast<std::size_t>(got));
    ::close(fd);
    return reply;
  }
  int connect_to_unix() const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path().string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  std::string over_unix(const std::string& request) const { return talk(connect_to_unix(), request); }
  std::string over_tcp(const std::string& request) const { return talk(connect_to_tcp(), request); }
  std::string over_tcp_to(in_addr host, const std::string& request) const {
    return talk(connect_to_tcp(host), request);
  }
  int connect_to_tcp() const {
    in_addr loopback{};
    loopback.s_addr = htonl(INADDR_LOOPBACK);
    return connect_to_tcp(loopback);
  }
  int connect_to_tcp(in_addr host) const {
    const auto fields = log_.lines().at(0).fields;  // the port is told in the log
    const auto at = fields.find(".0.0.");           // 127.0.0.1:PORT or 0.0.0.0:PORT
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(fields.substr(fields.find(':', at) + 1))));
    address.sin_addr = host;
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // An address of this machine that is not on loopback.
  static std::optional<in_addr> address_of_this_machine() {
    ifaddrs* all = nullptr;
    if (getifaddrs(&all) != 0) return std::nullopt;
    std::optional<in_addr> found;
    for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
      if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
      if ((one->ifa_flags & IFF_LOOPBACK) == 0)
        found = reinterpret_cast<sockaddr_in*>(one->ifa_addr)->sin_addr;
    }
    freeifaddrs(all);
    return found;
  }
  std::filesystem::path socket_path() const { return folder_ / "admin.sock"; }

  std::filesystem::path folder_;
  std::unique_ptr<Clock> clock_ = make_system_clock();
  CapturingLog log_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::thread thread_;
  AdminHttp http_{context_.get_executor(), *clock_, log_, echo};
};

}  // namespace holdfast
