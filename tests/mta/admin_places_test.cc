// The admin endpoint with all its places taken.
#include <list>

#include "tests/mta/admin_http_fixture.h"

namespace holdfast {
namespace {

class AdminPlaces : public AdminHttpTest {
 protected:
  AdminPlaces() {
    EXPECT_TRUE(http_.listen_tcp({"127.0.0.1", 0}, "s3cret"));
    EXPECT_TRUE(http_.listen_unix(socket_path()));
  }

  // A client that asks and keeps its connection.
  class Held {
   public:
    explicit Held(int fd) : fd_(fd) {}
    ~Held() { ::close(fd_); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    // The head and body of one answer; "" when the connection is closed, or nothing comes for long.
    std::string asks(const std::string& request) {
      if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
      std::string reply;
      while (!is_whole(reply)) {
        pollfd wait{fd_, POLLIN, 0};
        char buffer[4096];
        if (::poll(&wait, 1, 20000) <= 0) return "";
        const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
        if (got <= 0) return "";
        reply.append(buffer, static_cast<std::size_t>(got));
      }
      return reply;
    }
    // Waits for it, less long than a silent connection is let be.
    bool is_closed() const {
      pollfd wait{fd_, POLLIN, 0};
      char octet = 0;
      return ::poll(&wait, 1, 20000) == 1 && ::recv(fd_, &octet, 1, 0) == 0;
    }

   private:
    static bool is_whole(const std::string& reply) {
      const auto head = reply.find("\r\n\r\n"), length = reply.find("Content-Length: ");
      return head != std::string::npos && length < head &&
             reply.size() >= head + 4 + std::stoul(reply.substr(length + 16));
    }
    int fd_;
  };

  static std::string get(const std::string& more = {}) {
    return "GET /v1/x HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n";
  }
  static constexpr const char* kToken = "Authorization: Bearer s3cret\r\n";
};

TEST_F(AdminPlaces, WhoFillsTheTcpPortLeavesTheSocketToTheOperator) {
  std::list<Held> strangers;
  for (std::size_t i = 0; i < kMaxAdminConnections; ++i) {
    strangers.emplace_back(connect_to_tcp());
    EXPECT_TRUE(strangers.back().asks(get()).starts_with("HTTP/1.1 200"));
  }
  Held operators(connect_to_unix());
  EXPECT_TRUE(operators.asks(get()).starts_with("HTTP/1.1 200"));
}

TEST_F(AdminPlaces, WhoWaitsTheLongestGivesWayToANewcomer) {
  std::list<Held> strangers;
  for (std::size_t i = 0; i < kMaxAdminConnections; ++i) {
    strangers.emplace_back(connect_to_tcp());
    EXPECT_TRUE(strangers.back().asks(get()).starts_with("HTTP/1.1 200"));
  }
  EXPECT_TRUE(strangers.front().asks(get()).starts_with("HTTP/1.1 200"));
  Held scraper(connect_to_tcp());
  EXPECT_TRUE(scraper.asks(get(kToken)).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(std::next(strangers.begin())->is_closed());
  EXPECT_TRUE(strangers.front().asks(get()).starts_with("HTTP/1.1 200"));
}

TEST_F(AdminPlaces, WhoShowedTheTokenKeepsItsPlace) {
  Held scraper(connect_to_tcp());
  EXPECT_TRUE(scraper.asks(get(kToken)).starts_with("HTTP/1.1 200"));
  std::list<Held> strangers;
  for (std::size_t i = 0; i < 2 * kMaxAdminConnections; ++i) {
    strangers.emplace_back(connect_to_tcp());
    EXPECT_TRUE(strangers.back().asks(get()).starts_with("HTTP/1.1 200"));
  }
  EXPECT_TRUE(scraper.asks(get(kToken)).starts_with("HTTP/1.1 200"));
}

TEST_F(AdminPlaces, ARefusalEndsTheConnection) {
  for (const std::string& refused :
       {std::string("GET /v1/x HTTP/1.1\r\nHost: rebound.example\r\n\r\n"),
        std::string("POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
        std::string("GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        std::string("DELETE /v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n")}) {
    Held stranger(connect_to_tcp());
    const std::string reply = stranger.asks(refused);
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 4")) << refused << reply;
    EXPECT_NE(reply.find("\r\nConnection: close\r\n"), std::string::npos) << refused << reply;
    EXPECT_TRUE(stranger.is_closed()) << refused;
  }
}

}  // namespace
}  // namespace holdfast
