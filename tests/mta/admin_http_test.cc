#include <sys/stat.h>

#include "smtp/wire/base64.h"
#include "tests/mta/admin_http_fixture.h"

namespace holdfast {
namespace {

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

TEST_F(AdminHttpTest, AnExchangedTokenHoldsFromTheNextRequestOn) {
  ASSERT_TRUE(http_.listen_tcp({"127.0.0.1", 0}, "s3cret"));
  const auto status = [this](const std::string& token) {
    return over_tcp("POST /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n" + kEnd)
        .substr(9, 3);
  };
  EXPECT_EQ(status("s3cret"), "200");
  http_.use_token("other");
  EXPECT_EQ(status("s3cret"), "401");
  EXPECT_EQ(status("other"), "200");
  http_.use_token("");
  EXPECT_EQ(status("other"), "401");
  EXPECT_EQ(status(""), "401");
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

// A page that was served as 127.rebound.example, a name whose address its owner has changed since.
TEST_F(AdminHttpTest, TakesForALocalHostOnlyAddressesOnLoopbackAndLocalhost) {
  ASSERT_TRUE(http_.listen_tcp({"127.0.0.1", 0}, "s3cret"));
  const auto status = [this](const std::string& host) {
    return over_tcp("GET /v1/queue HTTP/1.1\r\nHost: " + host + "\r\n" + kEnd).substr(9, 3);
  };
  for (const char* ours :
       {"localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "127.3.2.1:80", "[::1]", "[::1]:8080"})
    EXPECT_EQ(status(ours), "200") << ours;
  for (const char* foreign :
       {"127.rebound.example", "127.rebound.example:8080", "127.0.0.1.rebound.example", "127.0.0.1.", "127.1",
        "localhost.", "localhost.rebound.example", "[::1].rebound.example", "[::1", "[127.0.0.1]", "::1",
        "[::2]:8080", "10.0.0.1", "127.0.0.1:x.rebound.example", ""})
    EXPECT_EQ(status(foreign), "403") << foreign;
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
