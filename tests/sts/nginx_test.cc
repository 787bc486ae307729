// The fetcher against nginx, a server that we did not write: HTTP/2 and HTTP/1.1, TLS 1.2 and 1.3, a policy,
// a redirect, a compressed answer.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "smtp/client/tcp_connector.h"
#include "sts/policy_fetcher.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"
#include "tests/world/certificate.h"
#include "tests/world/process.h"

namespace holdfast {
namespace {

constexpr char kNginx[] = "/usr/sbin/nginx";

struct NginxCase {
  std::string listen;  // added to the listen directive
  std::string tls;
  std::string version;  // of HTTP, as the response tells
};

class NginxTest : public testing::TestWithParam<NginxCase> {
 protected:
  void SetUp() override {
    if (access(kNginx, X_OK) != 0) GTEST_SKIP() << "nginx is not installed (nginx-light)";
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string("holdfast-nginx-") + std::to_string(getpid()) + "-" + test->name();
    std::replace(name.begin(), name.end(), '/', '-');
    directory_ = std::filesystem::temp_directory_path() / name;
    std::filesystem::create_directories(directory_ / ".well-known");
    authority_.issue("mta-sts.example.com").write_to(directory_);
    std::ofstream(directory_ / "root.pem") << authority_.root_pem();
    std::ofstream(directory_ / ".well-known" / "mta-sts.txt")
        << "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n";
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void serve(const std::string& location) {
    port_ = world::local_endpoint(world::listen_tcp({"127.0.0.1", 0})).port;  // free a moment ago
    const std::string d = directory_.string();
    std::ofstream(directory_ / "nginx.conf")
        << "daemon off; master_process off; pid " << d << "/pid; error_log " << d << "/error.log;\n"
        << "events {}\nhttp { access_log off; default_type text/plain; client_body_temp_path " << d
        << "/t1; proxy_temp_path " << d << "/t2; fastcgi_temp_path " << d << "/t3; uwsgi_temp_path " << d
        << "/t4; scgi_temp_path " << d << "/t5;\n"
        << "server { listen 127.0.0.1:" << port_ << " ssl " << GetParam().listen << "; ssl_protocols "
        << GetParam().tls << "; ssl_certificate " << d << "/certificate.pem; ssl_certificate_key " << d
        << "/key.pem; root " << d << ";\n"
        << location << " } }\n";
    server_ = std::make_unique<world::Process>(
        std::vector<std::string>{kNginx, "-p", d, "-e", d + "/error.log", "-c", d + "/nginx.conf"});
    for (int tries = 0; tries < 500; ++tries) {  // until it accepts
      try {
        world::connect_tcp({"127.0.0.1", port_});
        return;
      } catch (const std::system_error&) {
        poll(nullptr, 0, 20);
      }
    }
    FAIL() << "nginx does not start: " << server_->errors();
  }

  Result<StsPolicy> fetch() {
    Settings settings;
    settings.egress.allow = {*Network::parse("127.0.0.0/8")};
    settings.sts.https_port = port_;
    settings.sts.max_policy_size = 65536;
    settings.sts.fetch_timeout = std::chrono::seconds(20);
    const FixedSettings source(settings);
    const auto trusted = TlsClientContexts::create(directory_ / "root.pem").value();
    const auto clock = make_system_clock();
    ZoneResolver dns;
    dns.address("mta-sts.example.com", "127.0.0.1");
    TcpConnector connector(*clock, [&source] { return source.current(); });
    const auto client = make_https_client(dns, connector, *clock, [trusted] { return trusted; });
    HttpsUrl url;
    url.host = DomainName::parse("mta-sts.example.com").value();
    url.port = port_;
    url.path = "/.well-known/mta-sts.txt";
    const auto response = run(client->get(url, {65536, std::chrono::seconds(20)}));
    if (response) {
      EXPECT_EQ(response->version, GetParam().version);
    }
    const auto fetcher = make_policy_fetcher(*client, source);
    return run(fetcher->fetch(DomainName::parse("example.com").value()));
  }

  world::Authority authority_{"the test's root"};
  std::filesystem::path directory_;
  std::uint16_t port_ = 0;
  std::unique_ptr<world::Process> server_;
};

INSTANTIATE_TEST_SUITE_P(Versions, NginxTest,
                         testing::Values(NginxCase{"http2", "TLSv1.3", "HTTP/2"},
                                         NginxCase{"http2", "TLSv1.2", "HTTP/2"},
                                         NginxCase{"", "TLSv1.3", "HTTP/1.1"},
                                         NginxCase{"", "TLSv1.2", "HTTP/1.1"}),
                         [](const auto& param) {
                           return std::string(param.param.version == "HTTP/2" ? "Two" : "OneOne") +
                                  (param.param.tls == "TLSv1.3" ? "Tls13" : "Tls12");
                         });

TEST_P(NginxTest, ServesAPolicy) {
  serve("");
  const auto policy = fetch();
  ASSERT_TRUE(policy) << policy.error().text();
  EXPECT_EQ(policy->mode, StsMode::enforce);
}

TEST_P(NginxTest, RedirectIsNotFollowed) {
  serve("location / { return 302 https://mta-sts.example.com/elsewhere; }");
  const auto policy = fetch();
  ASSERT_FALSE(policy);
  EXPECT_TRUE(policy.error().is(StsError::http_status)) << policy.error().text();
}

TEST_P(NginxTest, CompressionIsNotAskedForSoNotSent) {
  serve("gzip on; gzip_min_length 1; gzip_types text/plain;");
  EXPECT_TRUE(fetch());
}

}  // namespace
}  // namespace holdfast
