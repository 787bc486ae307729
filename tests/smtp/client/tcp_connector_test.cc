#include "smtp/client/tcp_connector.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "smtp/base/base_error.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

using asio::ip::tcp;

class Connecting : public testing::Test {
 protected:
  Connecting() {
    settings->egress.allow = {*Network::parse("127.0.0.0/8")};
    target.ip = *parse_ip("127.0.0.1");
    target.port = listener.local_endpoint().port();
  }
  Result<std::unique_ptr<Stream>> connect(Duration limit = std::chrono::seconds(20)) {
    TcpConnector connector(*clock, [this] { return settings; });
    return run(context, connector.connect(target, limit));
  }
  bool anybody_came() {
    listener.non_blocking(true);
    boost::system::error_code error;
    tcp::socket peer(context);
    listener.accept(peer, error);
    return !error;
  }

  std::unique_ptr<Clock> clock = make_system_clock();
  asio::io_context context;
  tcp::acceptor listener{context, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0)};
  std::shared_ptr<Settings> settings = std::make_shared<Settings>();
  ConnectTarget target;
};

TEST_F(Connecting, ReachesAnAllowedAddress) {
  auto stream = connect();
  ASSERT_TRUE(stream) << stream.error().text();
  EXPECT_EQ((*stream)->remote().port, target.port);
  EXPECT_TRUE(anybody_came());
}

TEST_F(Connecting, NeverReachesASpecialAddressOnTheNetworksWord) {
  settings->egress.allow.clear();
  EXPECT_TRUE(connect().error().is(BaseError::not_permitted));
  EXPECT_FALSE(anybody_came());
}

TEST_F(Connecting, ReachesAnyAddressOnTheOperatorsWord) {
  settings->egress.allow.clear();
  target.operators_word = true;
  EXPECT_TRUE(connect());
}

TEST_F(Connecting, LooksAtTheSettingsOfTheMoment) {
  TcpConnector connector(*clock, [this] { return settings; });
  EXPECT_TRUE(run(context, connector.connect(target, std::chrono::seconds(5))));
  settings = std::make_shared<Settings>();
  EXPECT_FALSE(run(context, connector.connect(target, std::chrono::seconds(5))));
}

TEST_F(Connecting, TellsARefusedConnection) {
  listener.close();
  EXPECT_TRUE(connect().error().is(BaseError::unreachable));
}

TEST_F(Connecting, LeavesFromTheSourceAddress) {
  target.source = *parse_ip("127.0.0.77");
  auto stream = connect();
  ASSERT_TRUE(stream);
  EXPECT_EQ((*stream)->local().text(), "127.0.0.77");
  target.source = *parse_ip("::1");
  EXPECT_TRUE(connect().error().is(BaseError::unreachable));
  target.source = *parse_ip("192.0.2.1");
  EXPECT_TRUE(connect().error().is(BaseError::unreachable));
}

TEST_F(Connecting, GivesUpAtItsLimit) {
  // A listener whose queue is full answers nobody.
  listener.listen(0);
  std::vector<tcp::socket> crowd;
  for (int i = 0; i < 4; ++i) {
    crowd.emplace_back(context, tcp::v4());
    crowd.back().async_connect(listener.local_endpoint(), [](boost::system::error_code) {});
  }
  EXPECT_TRUE(connect(std::chrono::milliseconds(50)).error().is(BaseError::timed_out));
}

TEST(Egress, KnowsWhichAddressesAreGlobal) {
  const auto reachable = [](const char* ip, std::vector<Network> allow = {}) {
    return may_reach(*parse_ip(ip), allow);
  };
  for (const char* ip : {"8.8.8.8", "2001:4860:4860::8888"}) EXPECT_TRUE(reachable(ip)) << ip;
  for (const char* ip :
       {"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(reachable(ip)) << ip;
  }
  EXPECT_TRUE(reachable("10.1.2.3", {*Network::parse("10.0.0.0/8")}));
  EXPECT_FALSE(reachable("10.1.2.3", {*Network::parse("10.2.0.0/16")}));
}

}  // namespace
}  // namespace holdfast
