#include "mta/admin_http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <thread>

#include "smtp/base/base_error.h"
#include "smtp/wire/base64.h"
#include "tests/fakes/capture.h"

namespace holdfast {
namespace {

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

asio::awaitable<AdminResponse> echo(AdminRequest request) {
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
  std::string over_unix(const std::string& request) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path().string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return talk(fd, request);
  }
  std::string over_tcp(const std::string& request) const {
    in_addr loopback{};
    loopback.s_addr = htonl(INADDR_LOOPBACK);
    return over_tcp_to(loopback, request);
  }
  std::string over_tcp_to(in_addr host, const std::string& request) const {
    const auto fields = log_.lines().at(0).fields;
    const auto at = fields.find(".0.0.");  // 127.0.0.1:PORT or 0.0.0.0:PORT
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(fields.substr(fields.find(':', at) + 1))));
    address.sin_addr = host;
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return talk(fd, request);
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

const std::string kEnd = "Connection: close\r\n\r\n";

TEST_F(AdminHttpTest, AnswersOnASocketThatOnlyItsOwnerMayOpen) {
  ASSERT_TRUE(http_.listen_unix(socket_path()));
  struct stat info {};
  ASSERT_EQ(::stat(socket_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto reply = over_unix("POST /v1/x?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + kEnd + "abc");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 OK\r\n")) << reply;
  EXPECT_TRUE(reply.ends_with("\r\n\r\nPOST /v1/x 3")) << reply;
}

TEST_F(AdminHttpTest, RefusesToTakeTheSocketOfARunningRelay) {
  ASSERT_TRUE(http_.listen_unix(socket_path()));
  AdminHttp second(context_.get_executor(), *clock_, log_, echo);
  const auto bound = second.listen_unix(socket_path());
  ASSERT_FALSE(bound);
  EXPECT_NE(bound.error().text().find("another relay answers"), std::string::npos);
}

TEST_F(AdminHttpTest, SaysThatTheNameOfASocketIsTooLong) {
  const auto bound = http_.listen_unix("/tmp/" + std::string(200, 'x'));
  ASSERT_FALSE(bound);
  EXPECT_TRUE(bound.error().is(BaseError::too_long));
}

TEST_F(AdminHttpTest, LetsLoopbackReadWithoutATokenButNotChange) {
  ASSERT_TRUE(http_.listen_tcp({"127.0.0.1", 0}, "s3cret"));
  EXPECT_TRUE(
      over_tcp("GET /metrics HTTP/1.1\r\nHost: localhost:8080\r\n" + kEnd).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(over_tcp("POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n" + kEnd).starts_with("HTTP/1.1 401"));
  EXPECT_TRUE(
      over_tcp("POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong!\r\n" + kEnd)
          .starts_with("HTTP/1.1 401"));
  EXPECT_TRUE(
      over_tcp("POST /v1/reload HTTP/1.1\r\nHost: any.example\r\nAuthorization: Bearer s3cret\r\n" + kEnd)
          .starts_with("HTTP/1.1 200"));
}

TEST_F(AdminHttpTest, WhoComesFromElsewhereNeedsTheTokenWhateverTheHostSays) {
  const auto elsewhere = address_of_this_machine();
  if (!elsewhere) GTEST_SKIP() << "this machine has no address but loopback";
  ASSERT_TRUE(http_.listen_tcp({"0.0.0.0", 0}, "s3cret"));
  const auto refused = over_tcp_to(*elsewhere, "GET /v1/queue HTTP/1.1\r\nHost: localhost\r\n" + kEnd);
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 401")) << refused;
  EXPECT_NE(refused.find("WWW-Authenticate: Basic"), std::string::npos) << refused;
  EXPECT_TRUE(over_tcp_to(*elsewhere,
                          "GET /v1/queue HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer s3cret\r\n" + kEnd)
                  .starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(over_tcp("GET /v1/queue HTTP/1.1\r\nHost: localhost\r\n" + kEnd).starts_with("HTTP/1.1 200"));
}

TEST_F(AdminHttpTest, TakesTheTokenAsABrowsersPasswordForReadingOnly) {
  ASSERT_TRUE(http_.listen_tcp({"127.0.0.1", 0}, "s3cret"));
  const std::string right = "Authorization: Basic " + base64_encode("anybody:s3cret") + "\r\n",
                    wrong = "Authorization: Basic " + base64_encode("anybody:secret") + "\r\n";
  EXPECT_TRUE(over_tcp("GET / HTTP/1.1\r\nHost: relay\r\n" + right + kEnd).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(over_tcp("GET / HTTP/1.1\r\nHost: relay\r\n" + wrong + kEnd).starts_with("HTTP/1.1 403"));
  EXPECT_TRUE(
      over_tcp("POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n" + right + kEnd).starts_with("HTTP/1.1 401"));
  const auto content = over_tcp("GET /trusted HTTP/1.1\r\nHost: relay\r\n" + right + kEnd);
  EXPECT_FALSE(content.ends_with("yes")) << content;
}

TEST_F(AdminHttpTest, RefusesAHostThatIsNotOurs) {
  ASSERT_TRUE(http_.listen_tcp({"127.0.0.1", 0}, ""));
  EXPECT_TRUE(
      over_tcp("GET /v1/queue HTTP/1.1\r\nHost: rebound.example\r\n" + kEnd).starts_with("HTTP/1.1 403"));
}

TEST_F(AdminHttpTest, WantsATokenBeforeItListensBeyondLoopback) {
  const auto bound = http_.listen_tcp({"0.0.0.0", 0}, "");
  ASSERT_FALSE(bound);
  EXPECT_NE(bound.error().text().find("admin.token_file"), std::string::npos);
}

TEST_F(AdminHttpTest, StreamsInChunksOrWithTheLengthWhereItIsKnown) {
  ASSERT_TRUE(http_.listen_unix(socket_path()));
  const auto chunked = over_unix("GET /stream HTTP/1.1\r\nHost: x\r\n" + kEnd);
  EXPECT_NE(chunked.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos) << chunked;
  EXPECT_TRUE(chunked.ends_with("\r\n\r\n4\r\none \r\n7\r\nand two\r\n0\r\n\r\n")) << chunked;
  const auto sized = over_unix("GET /stream?sized HTTP/1.1\r\nHost: x\r\n" + kEnd);
  EXPECT_NE(sized.find("\r\nContent-Length: 11\r\n"), std::string::npos) << sized;
  EXPECT_TRUE(sized.ends_with("\r\n\r\none and two")) << sized;
  const auto old = over_unix("GET /stream HTTP/1.0\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(old.ends_with("\r\n\r\none and two")) << old;
  EXPECT_EQ(old.find("chunked"), std::string::npos);
  const auto head = over_unix("HEAD /stream HTTP/1.1\r\nHost: x\r\n" + kEnd);
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
}

TEST_F(AdminHttpTest, AnAnswerThatBreaksOffIsNotTakenForAWholeOne) {
  ASSERT_TRUE(http_.listen_unix(socket_path()));
  const auto reply = over_unix("GET /broken HTTP/1.1\r\nHost: x\r\n" + kEnd);
  EXPECT_TRUE(reply.ends_with("4\r\none \r\n")) << reply;  // no last chunk
  EXPECT_TRUE(log_.holds("the disk is gone"));
}

TEST_F(AdminHttpTest, TrustsTheSocketAndTheTokenOnly) {
  ASSERT_TRUE(http_.listen_tcp({"127.0.0.1", 0}, "s3cret"));
  ASSERT_TRUE(http_.listen_unix(socket_path()));
  EXPECT_TRUE(over_unix("GET /trusted HTTP/1.1\r\nHost: x\r\n" + kEnd).ends_with("yes"));
  EXPECT_TRUE(over_tcp("GET /trusted HTTP/1.1\r\nHost: localhost\r\n" + kEnd).ends_with("no"));
  EXPECT_TRUE(over_tcp("GET /trusted HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n" + kEnd)
                  .ends_with("yes"));
}

TEST_F(AdminHttpTest, WantsTheLengthOfABody) {
  ASSERT_TRUE(http_.listen_unix(socket_path()));
  const auto reply = over_unix("POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(reply.substr(0, 13), "HTTP/1.1 411 ");
  EXPECT_EQ(
      over_unix("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n" + kEnd + "ab").substr(0, 13),
      "HTTP/1.1 200 ");
}

TEST_F(AdminHttpTest, BoundsWhatItReads) {
  ASSERT_TRUE(http_.listen_unix(socket_path()));
  EXPECT_TRUE(over_unix("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n" + kEnd)
                  .starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(over_unix("GET /%zz HTTP/1.1\r\nHost: x\r\n" + kEnd).starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(over_unix("DELETE / HTTP/1.1\r\nHost: x\r\n" + kEnd).starts_with("HTTP/1.1 405"));
}

}  // namespace
}  // namespace holdfast
