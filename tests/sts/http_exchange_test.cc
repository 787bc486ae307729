// HTTP/1.1 and HTTP/2 responses octet by octet, on scripted streams: what a server that we did not write can
// send.
#include "sts/http_exchange.h"

#include <gtest/gtest.h>

#include "smtp/base/base_error.h"
#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"

namespace holdfast {
namespace {

HttpRequest request() {
  HttpRequest made;
  made.url = HttpsUrl::parse("https://a.example/x").value();
  return made;
}

Result<HttpResponse> one(std::vector<std::string> octets, StreamFault fault = {},
                         std::size_t max_body = 1000) {
  auto script = ScriptedStream::raw(std::move(octets), fault);
  const auto stream = script.stream();
  return run(http1_exchange(*stream, request(), max_body));
}
Result<HttpResponse> two(std::vector<std::string> octets, std::size_t max_body = 1000) {
  auto script = ScriptedStream::raw(std::move(octets));
  const auto stream = script.stream();
  return run(http2_exchange(*stream, request(), max_body));
}

TEST(Http1, SendsOneRequestAndAsksForTheEnd) {
  auto script = ScriptedStream::raw({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
  const auto stream = script.stream();
  ASSERT_TRUE(run(http1_exchange(*stream, request(), 10)));
  EXPECT_EQ(script.written(),
            "GET /x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: holdfast\r\nAccept-Encoding: "
            "identity\r\nConnection: close\r\n\r\n");
}

// The whole response in two pieces cut at each place, then one octet at a time; and cut off at each place.
TEST(Http1, IsReadHoweverItIsCut) {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\ncontent-type: TEXT/plain; a=b\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n yo\r\n0\r\nT: v\r\n\r\n";
  const std::string plain =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nhello yo";
  for (const std::string& whole : {chunked, plain}) {
    std::vector<std::string> octets;
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
      const auto response = one({whole.substr(0, cut), whole.substr(cut)});
      ASSERT_TRUE(response) << cut << response.error().text();
      EXPECT_EQ(response->body, "hello yo");
      EXPECT_EQ(response->media_type, "text/plain");
      const auto cut_off = one({whole.substr(0, cut)});
      ASSERT_FALSE(cut_off) << cut;
      EXPECT_TRUE(cut_off.error().is(StsError::http_protocol));
    }
    for (const char c : whole) octets.emplace_back(1, c);
    EXPECT_EQ(one(octets)->body, "hello yo");
  }
}

TEST(Http1, OrderlyEndMayEndABodyButABrokenConnectionMayNot) {
  const std::string open = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello";
  EXPECT_EQ(one({open})->body, "hello");
  const auto broken = one({open}, {StreamFault::Kind::reset, 2});
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().is(BaseError::reset));
}

TEST(Http1, EmptyChunkedBodyIsReadHoweverItIsCut) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body = "0\r\n\r\n";
  std::vector<std::string> octets{head};
  for (const char c : body) octets.emplace_back(1, c);
  const auto slowly = one(octets);
  ASSERT_TRUE(slowly) << slowly.error().text();
  EXPECT_EQ(slowly->body, "");
  for (std::size_t cut = 1; cut < body.size(); ++cut) {
    EXPECT_TRUE(one({head + body.substr(0, cut), body.substr(cut)})) << cut;
    EXPECT_FALSE(one({head, body.substr(0, cut)})) << cut;
  }
}

TEST(Http1, EndWithoutAnAnswerIsNone) {
  for (const std::string before : {"", "HTTP/1.1 103 Early Hints\r\n\r\n"}) {
    const auto response = before.empty() ? one({}) : one({before});
    ASSERT_FALSE(response);
    EXPECT_TRUE(response.error().is(StsError::http_protocol)) << response.error().text();
  }
}

TEST(Http1, InterimResponsesArePassedOverButNotForEver) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\n\r\n";
  const auto response = one({interim + interim + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"});
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->body, "ok");
  EXPECT_EQ(response->media_type, "");
  std::string endless;
  for (int i = 0; i < 100; ++i) endless += interim;
  EXPECT_TRUE(one({endless}).error().is(StsError::http_protocol));
}

TEST(Http1, BodyBeyondTheLimitIsTooLargeHoweverItIsSent) {
  const std::string x(1001, 'x');
  EXPECT_TRUE(one({"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + x}).error().is(StsError::too_large));
  EXPECT_TRUE(one({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + x + "\r\n0\r\n\r\n"})
                  .error()
                  .is(StsError::too_large));
  EXPECT_TRUE(one({"HTTP/1.1 200 OK\r\n\r\n" + x}).error().is(StsError::too_large));
}

TEST(Http1, WhatIsNoHttpIsRefused) {
  for (const std::string text :
       {"220 mx.example ESMTP\r\n", "HTTP/2 200 OK\r\n\r\n", "hello", "\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 051 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"}) {
    const auto response = one({text});
    ASSERT_FALSE(response) << text;
    EXPECT_TRUE(response.error().is(StsError::http_protocol)) << response.error().text();
  }
}

TEST(Http1, EndlessHeaderIsRefused) {
  std::vector<std::string> octets{"HTTP/1.1 200 OK\r\n"};
  for (int i = 0; i < 100; ++i)
    octets.push_back("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
  EXPECT_TRUE(one(octets).error().is(StsError::http_protocol));
  EXPECT_TRUE(
      one({"HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x')}).error().is(StsError::http_protocol));
}

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint8_t stream, const std::string& payload) {
  const std::size_t n = payload.size();
  return std::string{static_cast<char>(n >> 16),
                     static_cast<char>(n >> 8),
                     static_cast<char>(n),
                     static_cast<char>(type),
                     static_cast<char>(flags),
                     0,
                     0,
                     0,
                     static_cast<char>(stream)} +
         payload;
}
constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoaway = 7;
const std::string kServerSettings = frame(kSettings, 0, 0, "");
const std::string k200("\x88", 1);  // HPACK: the static entry ":status: 200"

TEST(Http2, IsReadHoweverItIsCut) {
  const std::string whole = kServerSettings + frame(kHeaders, 4, 1, k200) + frame(kData, 0, 1, "hello ") +
                            frame(kData, 1, 1, "you");
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    const auto response = two({whole.substr(0, cut), whole.substr(cut)});
    ASSERT_TRUE(response) << cut << response.error().text();
    EXPECT_EQ(response->body, "hello you");
    EXPECT_FALSE(two({whole.substr(0, cut)})) << cut;
  }
}

TEST(Http2, ResponseWithoutABodyIsWhole) {
  EXPECT_EQ(two({kServerSettings + frame(kHeaders, 5, 1, k200)})->status, 200);
}

TEST(Http2, ResetAndGoawayAreErrors) {
  const std::string begun = kServerSettings + frame(kHeaders, 4, 1, k200) + frame(kData, 0, 1, "hello");
  EXPECT_TRUE(
      two({begun + frame(kReset, 0, 1, std::string("\0\0\0\x08", 4))}).error().is(StsError::http_protocol));
  EXPECT_TRUE(two({kServerSettings + frame(kGoaway, 0, 0, std::string(8, '\0'))})
                  .error()
                  .is(StsError::http_protocol));
}

TEST(Http2, BodyThatIsNotAsLongAsItSaysIsRefused) {
  // content-length: 3 (static name 28, literal without indexing), then five octets.
  const std::string header = k200 + std::string(
                                        "\x0f\x0d\x01"
                                        "3",
                                        4);
  EXPECT_TRUE(two({kServerSettings + frame(kHeaders, 4, 1, header) + frame(kData, 1, 1, "abc")}));
  EXPECT_FALSE(two({kServerSettings + frame(kHeaders, 4, 1, header) + frame(kData, 1, 1, "abcde")}));
  EXPECT_FALSE(two({kServerSettings + frame(kHeaders, 4, 1, header) + frame(kData, 1, 1, "ab")}));
}

TEST(Http2, FramesThatLeadNowhereComeToAnEnd) {
  std::vector<std::string> octets{kServerSettings};
  const std::string ping = frame(kPing, 0, 0, std::string(8, 'p'));
  for (int i = 0; i < 100'000; ++i) octets.push_back(ping);
  const auto flooded = two(octets);
  ASSERT_FALSE(flooded);
  EXPECT_TRUE(flooded.error().is(StsError::http_protocol)) << flooded.error().text();
}

TEST(Http2, WhatIsNoHttp2IsRefused) {
  EXPECT_FALSE(two({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}));
  EXPECT_FALSE(two({std::string(100, '\xff')}));
}

TEST(MediaType, IsLowerCaseWithoutParameters) {
  EXPECT_EQ(media_type_of("Text/Plain; charset=UTF-8"), "text/plain");
  EXPECT_EQ(media_type_of(" text/plain "), "text/plain");
  EXPECT_EQ(media_type_of(""), "");
}

}  // namespace
}  // namespace holdfast
