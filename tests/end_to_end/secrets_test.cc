// The memory of the running relay, after passwords went through it.
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Secrets : public EndToEnd {
 protected:
  // Adds a user by `holdfast user add`, as an operator does: the relay sees hashes alone.
  void add_user(const std::string& name, const std::string& password) {
    const auto file = world_.folder() / "password";
    std::ofstream(file) << password << "\n";
    const auto end =
        relay_->run({"user", "add", name, "--sender", "@sender.test", "--password-file", file.string()});
    ASSERT_EQ(end.code, 0) << end.err;
  }

  // May this test read the memory of another process? The relay is not dumpable, so that root alone may.
  bool may_look() const {
    const int memory = ::open(memory_path().c_str(), O_RDONLY | O_CLOEXEC);
    if (memory >= 0) ::close(memory);
    return memory >= 0;
  }
  std::string memory_path() const { return "/proc/" + std::to_string(relay_->pid()) + "/mem"; }

  static constexpr std::size_t kShadow = std::size_t{1} << 30;

  // Those of the words that stand somewhere in the memory that the relay can write to.
  std::vector<std::string> found(const std::vector<std::string>& words) const {
    const int memory = ::open(memory_path().c_str(), O_RDONLY | O_CLOEXEC);
    std::vector<bool> seen(words.size());
    std::ifstream maps("/proc/" + std::to_string(relay_->pid()) + "/maps");
    for (std::string line; std::getline(maps, line);) {
      std::istringstream in(line);
      std::size_t begin = 0, end = 0;
      char dash = 0;
      std::string rights;
      in >> std::hex >> begin >> dash >> end >> rights;
      // So large a mapping is a sanitizer's shadow.
      if (!rights.starts_with("rw") || end - begin > kShadow) continue;
      std::string octets(end - begin, '\0');
      std::size_t done = 0;
      while (done < octets.size()) {
        const auto count =
            ::pread(memory, octets.data() + done, octets.size() - done, static_cast<off_t>(begin + done));
        if (count <= 0) break;
        done += static_cast<std::size_t>(count);
      }
      for (std::size_t i = 0; i < words.size(); ++i)
        seen[i] = seen[i] || std::string_view(octets).substr(0, done).find(words[i]) != std::string::npos;
    }
    ::close(memory);
    std::vector<std::string> out;
    for (std::size_t i = 0; i < words.size(); ++i)
      if (seen[i]) out.push_back(words[i]);
    return out;
  }

  int log_in_by_login(const std::string& user, const std::string& password) {
    SmtpClient client(relay_->submission());
    client.command("EHLO client.test");
    if (!client.starttls()) return 0;
    client.command("EHLO client.test");
    client.command("AUTH LOGIN");
    client.command(base64(user));
    return client.command(base64(password)).code;
  }
  int log_in_in_pieces(const std::string& user, const std::string& password) {
    SmtpClient client(relay_->submission());
    client.command("EHLO client.test");
    if (!client.starttls()) return 0;
    client.command("EHLO client.test");
    const std::string line = "AUTH PLAIN " + base64('\0' + user + '\0' + password) + "\r\n";
    for (std::size_t at = 0; at < line.size(); at += 9) client.send(line.substr(at, 9));
    return client.read_reply().code;
  }
};

TEST_F(Secrets, NoPasswordStaysInMemoryAfterTheLogin) {
  start({{"auth.max_failures", "\"1000/1m\""}});
  if (!may_look()) GTEST_SKIP() << "the memory of another process may not be read here; it takes root";
  const std::string plain = "plain-horse-battery-1905", login = "login-staple-4711", brief = "brief2wq",
                    wrong = "mistaken-anchor-88", pieces = "pieces-of-eight-jd72";
  for (const auto& [user, password] : {std::pair{"usr-plain", plain}, std::pair{"usr-login", login},
                                       std::pair{"usr-brief", brief}, std::pair{"usr-pieces", pieces}})
    add_user(user, password);
  const auto by_plain = [&](const std::string& user, const std::string& password) {
    SmtpClient client(relay_->submission());
    return client.log_in(user, password).code;
  };
  ASSERT_TRUE(eventually([&] { return by_plain("usr-plain", plain) == 235; })) << relay_->transcript();
  ASSERT_TRUE(eventually([&] { return log_in_by_login("usr-login", login) == 235; }));
  ASSERT_TRUE(eventually([&] { return log_in_by_login("usr-brief", brief) == 235; }));
  ASSERT_TRUE(eventually([&] { return log_in_in_pieces("usr-pieces", pieces) == 235; }));
  EXPECT_EQ(by_plain("usr-plain", plain), 235);  // known by now
  EXPECT_EQ(by_plain("usr-plain", wrong), 535);
  EXPECT_EQ(log_in_by_login("usr-login", wrong), 535);

  // The users' names are there: who looks there would see a password, too.
  EXPECT_EQ(found({"usr-plain", "usr-login"}).size(), 2u);
  std::vector<std::string> words;
  for (const auto& password : {plain, login, brief, wrong, pieces}) {
    words.push_back(password);
    words.push_back(base64(password));
  }
  for (const auto& [user, password] : {std::pair{"usr-plain", plain}, std::pair{"usr-pieces", pieces}}) {
    const std::string whole = base64(std::string(1, '\0') + user + '\0' + password);
    words.push_back(whole.substr(whole.size() - 24));  // the end, which is the password's
  }
  // What the last answer came before is wiped a moment later.
  std::vector<std::string> left;
  EXPECT_TRUE(eventually([&] { return (left = found(words)).empty(); }, Milliseconds(5000)))
      << testing::PrintToString(left);
}

}  // namespace
}  // namespace holdfast::world
