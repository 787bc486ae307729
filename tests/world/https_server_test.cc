#include "tests/world/https_server.h"

#include <gtest/gtest.h>

#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {
namespace {

constexpr const char* kHost = "mta-sts.enforce.test";

class WorldHttps : public testing::TestWithParam<std::string> {  // curl's option for the protocol
 protected:
  void SetUp() override {
    if (run_process({"curl", "--version"}).code != 0) GTEST_SKIP() << "curl is not installed";
  }
  // Status, protocol and media type, then the body.
  ProcessEnd fetch(const std::string& host = kHost, const std::string& limit = "10") {
    const auto port = std::to_string(world_.https_port());
    return run_process({"curl", "-sS", GetParam(), "--max-time", limit, "--cacert", world_.ca_file().string(),
                        "--resolve", host + ":" + port + ":127.0.0.1", "-w",
                        "[%{http_code} %{http_version} %{content_type}]",
                        "https://" + host + ":" + port + "/.well-known/mta-sts.txt"});
  }
  std::string protocol() const { return GetParam() == "--http2" ? "2" : "1.1"; }
  World world_;
};

TEST_P(WorldHttps, ServesAPolicyToCurl) {
  world_.publish_policy("enforce.test", "enforce", {"mx.enforce.test"});
  const auto end = fetch();
  EXPECT_EQ(end.out, policy_text("enforce", {"mx.enforce.test"}) + "[200 " + protocol() + " text/plain]")
      << end.err;
  ASSERT_EQ(world_.https().request_count(kHost), 1u);
  const auto request = world_.https().requests(kHost).front();
  EXPECT_EQ(request.path, "/.well-known/mta-sts.txt");
  EXPECT_EQ(request.protocol, protocol() == "2" ? "h2" : "http/1.1");
}

TEST_P(WorldHttps, AnswersWithAnyStatusTypeAndHeader) {
  HttpReply reply;
  reply.status = 302;
  reply.content_type = "text/html; charset=utf-8";
  reply.headers = {{"location", "https://elsewhere.test/"}};
  world_.https().serve(kHost, reply);
  EXPECT_EQ(fetch().out, "[302 " + protocol() + " text/html; charset=utf-8]");
}

TEST_P(WorldHttps, ServesLargeBodies) {
  HttpReply reply;
  reply.body = std::string(1 << 20, 'x');
  world_.https().serve(kHost, reply);
  EXPECT_GT(fetch().out.size(), std::size_t{1} << 20);
}

TEST_P(WorldHttps, ShowsTheCertificateItWasGiven) {
  world_.publish_policy("enforce.test", "enforce", {"mx.enforce.test"});
  world_.https().set_identity(kHost, world_.authority().issue("elsewhere.test"));
  EXPECT_EQ(fetch().code, 60);  // curl: the certificate does not hold
  world_.https().set_identity(kHost, world_.other_authority().issue(kHost));
  EXPECT_EQ(fetch().code, 60);
  world_.https().set_identity(kHost, world_.authority().issue("*.enforce.test"));
  EXPECT_EQ(fetch().code, 0);
}

TEST_P(WorldHttps, BreaksOffInTheMiddleOfABody) {
  HttpReply reply;
  reply.body = "version: STSv1\r\nmode: none\r\nmax_age: 1\r\n";
  reply.fault = HttpFault::truncate;
  world_.https().serve(kHost, reply);
  const auto end = fetch();
  EXPECT_NE(end.code, 0);
  EXPECT_TRUE(end.out.starts_with("version: STSv1")) << end.out;
  EXPECT_EQ(end.out.find("max_age"), std::string::npos);
}

TEST_P(WorldHttps, DropsAndHangs) {
  HttpReply reply;
  reply.fault = HttpFault::drop;
  world_.https().serve(kHost, reply);
  EXPECT_NE(fetch().code, 0);
  reply.fault = HttpFault::hang;
  world_.https().serve(kHost, reply);
  EXPECT_EQ(fetch(kHost, "0.5").code, 28);  // curl: time ran out
}

TEST_P(WorldHttps, DripsTheBody) {
  HttpReply reply;
  reply.body = "slow";
  reply.fault = HttpFault::drip;
  reply.drip_interval = Milliseconds(20);
  world_.https().serve(kHost, reply);
  EXPECT_TRUE(fetch().out.starts_with("slow["));
  reply.drip_interval = Milliseconds(60000);
  world_.https().serve(kHost, reply);
  EXPECT_EQ(fetch(kHost, "0.5").code, 28);
}

TEST_P(WorldHttps, KeepsWhatIsPosted) {
  HttpReply created;
  created.status = 201;
  world_.https().serve("reports.test", created);
  const auto port = std::to_string(world_.https_port());
  const auto end = run_process(
      {"curl", "-sS", GetParam(), "--max-time", "10", "--cacert", world_.ca_file().string(), "--resolve",
       "reports.test:" + port + ":127.0.0.1", "-H", "Content-Type: application/tlsrpt+gzip", "--data-binary",
       std::string(70000, 'z'), "-w", "%{http_code}", "https://reports.test:" + port + "/in"});
  EXPECT_EQ(end.out, "201") << end.err;
  const auto requests = world_.https().requests("reports.test");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/in");
  EXPECT_EQ(requests[0].body, std::string(70000, 'z'));
}

INSTANTIATE_TEST_SUITE_P(Protocols, WorldHttps, testing::Values("--http2", "--http1.1"),
                         [](const auto& test) { return test.param == "--http2" ? "Http2" : "Http11"; });

}  // namespace
}  // namespace holdfast::world
