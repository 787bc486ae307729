// A policy host with several addresses of which one takes connections and then says nothing, as behind a
// path that swallows large packets: the next address is asked.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "smtp/client/tcp_connector.h"
#include "sts/https_client.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"
#include "tests/world/https_server.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
constexpr char kStallHost[] = "mta-sts.stall.example";
constexpr char kSilent[] = "127.0.0.77";

// The kernel takes the connections; nobody ever reads what comes.
class SilentListener {
 public:
  explicit SilentListener(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int yes = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    ::inet_pton(AF_INET, kSilent, &at.sin_addr);
    listens_ =
        ::bind(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 && ::listen(socket_, 16) == 0;
  }
  ~SilentListener() { ::close(socket_); }
  SilentListener(const SilentListener&) = delete;
  SilentListener& operator=(const SilentListener&) = delete;
  bool listens() const { return listens_; }

 private:
  int socket_;
  bool listens_ = false;
};

class HttpsStallTest : public testing::Test {
 protected:
  HttpsStallTest() : authority_("the test's root"), server_(authority_), silent_(server_.endpoint().port) {
    world::HttpReply reply;
    reply.body = "hello";
    server_.serve(kStallHost, reply);
    settings_.egress.allow = {*Network::parse("127.0.0.0/8")};
    dns_.address(kStallHost, kSilent);  // tried first
  }
  std::shared_ptr<const TlsClientContexts> contexts() {
    const auto file = std::filesystem::temp_directory_path() /
                      ("holdfast-stall-roots-" + std::to_string(getpid()) + ".pem");
    std::ofstream(file) << authority_.root_pem();
    auto made = TlsClientContexts::create(file);
    std::filesystem::remove(file);
    return made.value();
  }
  Result<HttpResponse> get(Duration total) {
    const auto trusted = contexts();
    const auto settings = std::make_shared<const Settings>(settings_);
    TcpConnector connector(*clock_, [settings] { return settings; });
    const auto client = make_https_client(dns_, connector, *clock_, [trusted] { return trusted; });
    HttpsUrl url;
    url.host = DomainName::parse(kStallHost).value();
    url.port = server_.endpoint().port;
    HttpLimits limits;
    limits.max_body = 65536;
    limits.total = total;
    return run(client->get(std::move(url), limits));
  }

  world::Authority authority_;
  world::HttpsServer server_;
  SilentListener silent_;
  ZoneResolver dns_;
  Settings settings_;
  std::unique_ptr<Clock> clock_ = make_system_clock();
};

TEST_F(HttpsStallTest, AnAddressThatStallsInTheHandshakeLeavesTimeForTheNext) {
  ASSERT_TRUE(silent_.listens());
  dns_.address(kStallHost, "127.0.0.1");
  const auto response = get(8s);
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->body, "hello");
}

TEST_F(HttpsStallTest, WhereTheOnlyAddressStallsTheTimeRanOut) {
  ASSERT_TRUE(silent_.listens());
  const auto response = get(2s);
  ASSERT_FALSE(response);
  EXPECT_TRUE(response.error().is(StsError::timed_out)) << response.error().text();
}

// The certificate is news; that the other address said nothing is none.
TEST_F(HttpsStallTest, ABadCertificateIsToldRatherThanTheStallBeforeIt) {
  ASSERT_TRUE(silent_.listens());
  dns_.address(kStallHost, "127.0.0.1");
  server_.set_identity(kStallHost, world::Authority("a stranger").issue(kStallHost));
  const auto response = get(8s);
  ASSERT_FALSE(response);
  EXPECT_TRUE(response.error().is(StsError::tls_failed)) << response.error().text();
}

// Once the request is sent, its host has it: another address is not asked the same again.
TEST_F(HttpsStallTest, AHostThatStallsAfterTheRequestIsNotAskedAtItsNextAddress) {
  dns_.remove(kStallHost, RecordType::a);
  dns_.address(kStallHost, "127.0.0.1");
  dns_.address(kStallHost, kSilent);
  world::HttpReply reply;
  reply.fault = world::HttpFault::hang;
  server_.serve(kStallHost, reply);
  const auto response = get(6s);
  ASSERT_FALSE(response);
  EXPECT_TRUE(response.error().is(StsError::timed_out)) << response.error().text();
  EXPECT_EQ(server_.request_count(kStallHost), 1u);
}

}  // namespace
}  // namespace holdfast
