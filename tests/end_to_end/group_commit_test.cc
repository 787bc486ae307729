// Many messages share one sync: counted from outside, with strace.
#include <signal.h>

#include <fstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class GroupCommit : public EndToEnd {};

TEST_F(GroupCommit, AcceptsFromFiftyConnectionsWithFewerThanOneSyncPerFourMessages) {
  TempDir folder;
  const auto trace = folder.path() / "trace";
  if (run_process({"strace", "-f", "-o", trace.string(), "true"}).code != 0)
    GTEST_SKIP() << "strace does not work here";
  // An MX that never greets keeps deliveries out of the count.
  world_.add_simple_domain("slow.test").on(Stage::connect, Reaction::hang());
  // setpriv: a relay whose strace is gone must not live on.
  start({}, "",
        {"strace", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", trace.string(), "setpriv",
         "--pdeathsig", "KILL"});
  const auto syncs = [&] {
    std::ifstream in(trace);
    int count = 0;
    for (std::string line; std::getline(in, line);) {
      const bool call =
          line.find("fsync(") != std::string::npos || line.find("fdatasync(") != std::string::npos;
      if (call) ++count;  // "<... fsync resumed>" has no parenthesis behind the name
    }
    return count;
  };

  constexpr int kConnections = 50, kEach = 40;
  std::string content = "From: shop@sender.test\r\nSubject: two kibibytes\r\n\r\n";
  while (content.size() < 2048)
    content += "0123456789012345678901234567890123456789012345678901234567890\r\n";
  const int before = syncs();
  std::atomic<int> accepted = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < kConnections; ++c) {
    clients.emplace_back([&] {
      SmtpClient client(relay_->trusted());
      client.command("EHLO client.test");
      for (int i = 0; i < kEach; ++i) {
        if (client.submit("shop@sender.test", {"bob@slow.test"}, content).code == 250) ++accepted;
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(accepted, kConnections * kEach) << relay_->transcript().substr(0, 4000);
  const int made = syncs() - before;
  const double each = static_cast<double>(made) / accepted;
  std::printf("%d messages of 2 KiB over %d connections: %d syncs, one per %.1f messages\n", accepted.load(),
              kConnections, made, made == 0 ? 0.0 : 1 / each);
  RecordProperty("syncs", made);
  EXPECT_GT(made, 0) << "nothing was synced at all";
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // An instrumented relay takes mail so slowly that few messages wait for the same sync.
  EXPECT_LT(each, 0.25);
#endif
}

}  // namespace
}  // namespace holdfast::world
