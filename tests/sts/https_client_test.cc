// The HTTPS client against a real server on loopback, over HTTP/2 and HTTP/1.1 alike; every fault of a policy
// host.
#include "sts/https_client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "smtp/base/base_error.h"
#include "smtp/client/tcp_connector.h"
#include "sts/policy_fetcher.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"
#include "tests/world/https_server.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
constexpr char kHost[] = "mta-sts.example.com";
constexpr char kPolicy[] = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 604800\r\n";

class HttpsTest : public testing::TestWithParam<std::string> {
 protected:
  HttpsTest() : authority_("the test's root"), server_(authority_) {
    server_.set_alpn({GetParam()});
    dns_.address(kHost, "127.0.0.1");
    world::HttpReply reply;
    reply.body = kPolicy;
    server_.serve(kHost, reply);
    settings_.egress.allow = {*Network::parse("127.0.0.0/8")};
  }

  void answer(const std::function<void(world::HttpReply&)>& change) {
    world::HttpReply reply;
    reply.body = kPolicy;
    change(reply);
    server_.serve(kHost, reply);
  }
  void identity(std::string dns_name, std::chrono::seconds until = 1h) {
    world::CertificateSpec spec;
    spec.dns_names = {std::move(dns_name)};
    spec.valid_until = until;
    server_.set_identity(kHost, authority_.issue(spec));
  }

  // What the client verifies against, written to a file as an operator would.
  std::shared_ptr<const TlsClientContexts> contexts() {
    const auto file =
        std::filesystem::temp_directory_path() / ("holdfast-roots-" + std::to_string(getpid()) + ".pem");
    std::ofstream(file) << authority_.root_pem();
    auto made = TlsClientContexts::create(file);
    std::filesystem::remove(file);
    return made.value();
  }

  Result<HttpResponse> exchange(HttpRequest request, HttpLimits limits) {
    const auto trusted = contexts();
    const auto settings = std::make_shared<const Settings>(settings_);
    TcpConnector connector(*clock_, [settings] { return settings; });
    const auto client = make_https_client(dns_, connector, *clock_, [trusted] { return trusted; });
    return run(client->exchange(std::move(request), limits));
  }
  HttpsUrl url(const std::string& host = kHost) {
    HttpsUrl made;
    made.host = DomainName::parse(host).value();
    made.port = server_.endpoint().port;
    made.path = "/.well-known/mta-sts.txt";
    return made;
  }
  Result<HttpResponse> get(std::size_t max_body = 65536, Duration total = 20s,
                           const std::string& host = kHost) {
    HttpRequest request;
    request.url = url(host);
    return exchange(std::move(request), {max_body, total});
  }
  void expect_error(const Result<HttpResponse>& response, StsError error) {
    ASSERT_FALSE(response) << response->status << " " << response->body;
    EXPECT_TRUE(response.error().is(error)) << response.error().text();
  }
  Result<StsPolicy> fetch(std::uint64_t max_size = 65536, Millis timeout = 20s) {
    Settings settings = settings_;
    settings.sts.https_port = server_.endpoint().port;
    settings.sts.max_policy_size = max_size;
    settings.sts.fetch_timeout = timeout;
    const FixedSettings source(settings);
    const auto trusted = contexts();
    TcpConnector connector(*clock_, [&source] { return source.current(); });
    const auto client = make_https_client(dns_, connector, *clock_, [trusted] { return trusted; });
    const auto fetcher = make_policy_fetcher(*client, source);
    return run(fetcher->fetch(DomainName::parse("example.com").value()));
  }
  void expect_error(const Result<StsPolicy>& policy, StsError error) {
    ASSERT_FALSE(policy);
    EXPECT_TRUE(policy.error().is(error)) << policy.error().text();
  }

  world::Authority authority_;
  world::HttpsServer server_;
  ZoneResolver dns_;
  Settings settings_;
  std::unique_ptr<Clock> clock_ = make_system_clock();
};

INSTANTIATE_TEST_SUITE_P(Http, HttpsTest, testing::Values("h2", "http/1.1"),
                         [](const auto& param) { return param.param == "h2" ? "Two" : "OneOne"; });

TEST_P(HttpsTest, GetsTheWholeResponse) {
  const auto response = get();
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->media_type, "text/plain");
  EXPECT_EQ(response->body, kPolicy);
  EXPECT_EQ(response->version, GetParam() == "h2" ? "HTTP/2" : "HTTP/1.1");
  ASSERT_EQ(server_.request_count(kHost), 1u);
  const auto request = server_.requests(kHost)[0];
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/.well-known/mta-sts.txt");
  EXPECT_EQ(request.authority, std::string(kHost) + ":" + std::to_string(server_.endpoint().port));
  EXPECT_EQ(request.protocol, GetParam());
}

TEST_P(HttpsTest, PostsABody) {
  HttpRequest request;
  request.url = url();
  request.method = "POST";
  request.content_type = "application/tlsrpt+gzip";
  request.body = std::string(100'000, 'z') + "end";
  const std::string body = request.body;
  answer([](world::HttpReply& reply) { reply.status = 201; });
  const auto response = exchange(std::move(request), {65536, 20s});
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->status, 201);
  const auto seen = server_.requests(kHost).at(0);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.body, body);
}

TEST_P(HttpsTest, RedirectIsAResponseAndNotFollowed) {
  answer([](world::HttpReply& reply) {
    reply.status = 301;
    reply.headers = {{"location", "https://elsewhere.example/"}};
  });
  EXPECT_EQ(get()->status, 301);
  EXPECT_EQ(server_.request_count(kHost), 1u);
}

TEST_P(HttpsTest, LargestBodyIsTakenAndOneOctetMoreIsNot) {
  for (const bool chunked : {false, true}) {
    answer([&](world::HttpReply& reply) {
      reply.body = std::string(65536, 'x');
      reply.chunked = chunked;
    });
    EXPECT_EQ(get()->body.size(), 65536u);
    expect_error(get(65535), StsError::too_large);
  }
}

TEST_P(HttpsTest, TruncatedResponseIsNeverTaken) {
  answer([](world::HttpReply& reply) { reply.fault = world::HttpFault::truncate; });
  expect_error(get(), StsError::http_protocol);
}

TEST_P(HttpsTest, ConnectionThatEndsWithoutAnswerIsAnError) {
  answer([](world::HttpReply& reply) { reply.fault = world::HttpFault::drop; });
  expect_error(get(), StsError::http_protocol);
}

TEST_P(HttpsTest, SilentHostEndsAtTheDeadline) {
  answer([](world::HttpReply& reply) { reply.fault = world::HttpFault::hang; });
  expect_error(get(65536, 300ms), StsError::timed_out);
}

TEST_P(HttpsTest, SlowDripDoesNotExtendTheDeadline) {
  answer([](world::HttpReply& reply) {
    reply.fault = world::HttpFault::drip;
    reply.drip_interval = world::Milliseconds(20);
    reply.body = std::string(10'000, 'x');  // 200 seconds of it
  });
  const SteadyTime began = clock_->now();
  expect_error(get(65536, 500ms), StsError::timed_out);
  EXPECT_LT(clock_->now() - began, 10s);
}

TEST_P(HttpsTest, CertificateMustBeForTheVeryHost) {
  identity("example.com");
  expect_error(get(), StsError::tls_failed);
  identity("*.example.com");
  EXPECT_TRUE(get());
  identity("*.com");
  expect_error(get(), StsError::tls_failed);
}

TEST_P(HttpsTest, ExpiredCertificateIsRefused) {
  identity(kHost, -1h);
  expect_error(get(), StsError::tls_failed);
}

TEST_P(HttpsTest, UnknownRootAndSelfSignedCertificateAreRefused) {
  server_.set_identity(kHost, world::Authority("a stranger").issue(kHost));
  expect_error(get(), StsError::tls_failed);
  world::CertificateSpec spec;
  spec.dns_names = {kHost};
  server_.set_identity(kHost, world::self_signed(spec));
  expect_error(get(), StsError::tls_failed);
}

TEST_P(HttpsTest, CommonNameNeverCounts) {
  world::CertificateSpec spec;
  spec.common_name = kHost;
  server_.set_identity(kHost, authority_.issue(spec));
  expect_error(get(), StsError::tls_failed);
}

TEST_P(HttpsTest, TlsBefore12IsRefused) {
  server_.set_tls("1.0", "1.1");
  expect_error(get(), StsError::tls_failed);
  server_.set_tls("1.2", "1.2");
  EXPECT_TRUE(get());
}

TEST_P(HttpsTest, AddressThatIsNotGlobalIsNotReachedUnlessAllowed) {
  settings_.egress.allow.clear();
  expect_error(get(), StsError::not_permitted);
  EXPECT_EQ(server_.request_count(kHost), 0u);
}

TEST_P(HttpsTest, EachAddressIsTried) {
  // The first address refuses the connection: nobody listens at that port there.
  dns_.address(kHost, "127.0.0.77");
  EXPECT_TRUE(get());
  dns_.remove(kHost, RecordType::a);
  dns_.address(kHost, "127.0.0.77");
  expect_error(get(), StsError::connect_failed);
}

TEST_P(HttpsTest, HostWithoutAddressIsADnsFailure) {
  expect_error(get(65536, 20s, "nobody.example.com"), StsError::dns_failed);
  dns_.fail(kHost, DnsStatus::server_failure);
  expect_error(get(), StsError::dns_failed);
}

TEST_P(HttpsTest, ContentEncodingIsRefused) {
  answer([](world::HttpReply& reply) { reply.headers = {{"content-encoding", "gzip"}}; });
  expect_error(get(), StsError::http_protocol);
  answer([](world::HttpReply& reply) { reply.headers = {{"content-encoding", "identity"}}; });
  EXPECT_TRUE(get());
}

TEST_P(HttpsTest, EndlessHeaderIsRefused) {
  answer([](world::HttpReply& reply) {
    for (int i = 0; i < 20; ++i) reply.headers.emplace_back("x-" + std::to_string(i), std::string(3000, 'x'));
  });
  expect_error(get(), StsError::http_protocol);
}

// --- the policy fetcher on top ---

TEST_P(HttpsTest, FetchesAPolicy) {
  const auto policy = fetch();
  ASSERT_TRUE(policy) << policy.error().text();
  EXPECT_EQ(policy->mode, StsMode::enforce);
  EXPECT_EQ(server_.requests(kHost).at(0).path, "/.well-known/mta-sts.txt");
}

// Seen elsewhere: any status accepted.
TEST_P(HttpsTest, OnlyStatus200IsAPolicy) {
  for (const int status : {201, 203, 301, 302, 307, 308, 404, 500, 503}) {
    answer([&](world::HttpReply& reply) { reply.status = status; });
    expect_error(fetch(), StsError::http_status);
  }
}

TEST_P(HttpsTest, MediaTypeIsTextPlainWithAnyParameters) {
  for (const std::string type : {"text/plain; charset=utf-8", "Text/PLAIN", "text/plain ;foo=bar"}) {
    answer([&](world::HttpReply& reply) { reply.content_type = type; });
    EXPECT_TRUE(fetch()) << type;
  }
  for (const std::string type : {"text/html", "text/plainer", "application/octet-stream"}) {
    answer([&](world::HttpReply& reply) { reply.content_type = type; });
    expect_error(fetch(), StsError::http_media_type);
  }
}

TEST_P(HttpsTest, PolicyIsBoundedInSizeAndTime) {
  expect_error(fetch(sizeof(kPolicy) - 2), StsError::too_large);
  EXPECT_TRUE(fetch(sizeof(kPolicy) - 1));
  answer([](world::HttpReply& reply) { reply.fault = world::HttpFault::hang; });
  expect_error(fetch(65536, 300ms), StsError::timed_out);
}

TEST_P(HttpsTest, WhatIsNoPolicyIsInvalid) {
  answer([](world::HttpReply& reply) { reply.body = "hello"; });
  expect_error(fetch(), StsError::policy_invalid);
}

TEST_P(HttpsTest, NameTooLongForAPolicyHostFailsWithoutAConnection) {
  const std::string label(63, 'a');
  const FixedSettings source(settings_);
  TcpConnector connector(*clock_, [&source] { return source.current(); });
  const auto client = make_https_client(dns_, connector, *clock_, [] { return nullptr; });
  const auto fetcher = make_policy_fetcher(*client, source);
  const auto domain =
      DomainName::parse(label + "." + label + "." + label + "." + std::string(58, 'b')).value();
  expect_error(run(fetcher->fetch(domain)), StsError::dns_failed);
}

TEST(HttpsUrl, IsReadWithDefaults) {
  auto url = HttpsUrl::parse("https://Reports.Example.COM", 8443);
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host.text(), "reports.example.com");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->path, "/");
  url = HttpsUrl::parse("HTTPS://a.example:444/v1/tlsrpt?x=1#part");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->port, 444);
  EXPECT_EQ(url->path, "/v1/tlsrpt?x=1");
  EXPECT_EQ(url->authority(), "a.example:444");
  EXPECT_EQ(HttpsUrl::parse("https://a.example?x")->path, "/?x");
  EXPECT_EQ(HttpsUrl::parse("https://a.example:443/")->text(), "https://a.example/");
}

TEST(HttpsUrl, UserinfoLiteralsAndOtherSchemesAreRefused) {
  for (const std::string text :
       {"http://a.example/", "a.example", "https://", "https:///x", "https://user@a.example/",
        "https://user:pw@a.example/", "https://[::1]/", "https://[2001:db8::1]:443/", "https://192.0.2.1/",
        "https://a.example:0/", "https://a.example:65536/", "https://a.example:x/", "https://a.example/a b",
        "https://a.example/\r\nX: y", "https://a b.example/", "mailto:a@b.example"}) {
    EXPECT_FALSE(HttpsUrl::parse(text)) << text;
  }
}

}  // namespace
}  // namespace holdfast
