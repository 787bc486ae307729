// The running relay, as the kernel sees it: what it gave up, and who may read what it wrote.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Hardening : public EndToEnd {
 protected:
  // A line of /proc/PID/status: "NoNewPrivs" → "1".
  std::string status(const std::string& name) const {
    std::ifstream in("/proc/" + std::to_string(relay_->pid()) + "/status");
    for (std::string line; std::getline(in, line);)
      if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
    return "";
  }
  static mode_t mode(const std::filesystem::path& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 07777;
  }
};

TEST_F(Hardening, RelayCanGainNoPrivileges) {
  start();
  EXPECT_EQ(status("NoNewPrivs"), "1");
  EXPECT_EQ(status("Umask"), "0077");
}

TEST_F(Hardening, MailOnDiskIsForTheRelayAlone) {
  world_.add_simple_domain("two.test");
  start({{"queue.inline_limit", "\"1KiB\""}});
  std::string large = canary_message();
  for (int i = 0; i < 100; ++i) large += std::string(70, 'x') + "\r\n";  // a file of its own
  ASSERT_EQ(submit({"bob@two.test"}, large).code, 250);
  ASSERT_TRUE(wait_for_end("bob@two.test", "delivered"));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(relay_->data_dir())) {
    EXPECT_EQ(mode(entry.path()) & 077, mode_t{0}) << entry.path();
    ++files;
  }
  EXPECT_GT(files, 3u) << "databases of queue, policies and ledger";
}

}  // namespace
}  // namespace holdfast::world
