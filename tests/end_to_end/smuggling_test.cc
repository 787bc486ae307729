// Every short string of what ends lines and messages, through the real relay to the far side: DATA and BDAT
// in, DATA and BDAT out. What is accepted arrives octet by octet, what is not is refused, and nothing else is
// sent.
#include <set>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

constexpr std::size_t kLongest = 6;
constexpr std::string_view kAlphabet("\r\n.\0a", 5);
// The relay ends sessions with too many errors.
constexpr std::size_t kPerConnection = 150;

std::vector<std::string> all_strings() {
  std::vector<std::string> all{""};
  for (std::size_t begin = 0, length = 0; length < kLongest; ++length) {
    const std::size_t end = all.size();
    for (; begin < end; ++begin) {
      for (const char c : kAlphabet) all.push_back(all[begin] + c);
    }
  }
  return all;
}

bool is_clean(std::string_view content) {
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\0') return false;
    if (content[i] == '\r' && (i + 1 == content.size() || content[i + 1] != '\n')) return false;
    if (content[i] == '\n' && (i == 0 || content[i - 1] != '\r')) return false;
  }
  return true;
}

// DATA by its definition: up to CRLF.CRLF, first dots of lines removed. `stream` begins on a new line.
std::string content_of(const std::string& stream) {
  std::string content = "\r\n" + stream;
  content.erase(content.find("\r\n.\r\n") + 2);
  for (std::size_t at = 0; (at = content.find("\r\n.", at)) != std::string::npos; at += 2)
    content.erase(at + 2, 1);
  return content.substr(2);
}

class Smuggling : public EndToEnd, public testing::WithParamInterface<bool> {
 protected:
  static std::string header(std::size_t number) {
    return "From: shop@sender.test\r\nX-Number: " + std::to_string(number) + "\r\n\r\n";
  }

  void connect() {
    client_ = std::make_unique<SmtpClient>(relay_->trusted());
    client_->command("EHLO client.test");
    used_ = 0;
  }

  // Sends a transaction and what shows where its replies end; all codes up to there.
  std::vector<int> exchange(const std::string& octets) {
    if (!client_ || ++used_ > kPerConnection) connect();
    client_->send("MAIL FROM:<shop@sender.test>\r\nRCPT TO:<bob@receiver.test>\r\n" + octets +
                  "VRFY end\r\n");
    std::vector<int> codes;
    while (codes.empty() || (codes.back() != 252 && codes.back() != 0))
      codes.push_back(client_->read_reply().code);
    return codes;
  }

  // The far side got these, each once, and nothing else.
  void expect_arrived(const std::map<std::size_t, std::string>& accepted) {
    ASSERT_GT(accepted.size(), 100u);
    world_.journal().wait_until(
        [&](const auto& mails, const auto&) { return mails.size() >= accepted.size(); }, Milliseconds(60000));
    ASSERT_TRUE(queue_is_empty());
    std::set<std::size_t> seen;
    for (const auto& mail : world_.journal().mails()) {
      const auto at = mail.content.find("X-Number: ");
      ASSERT_NE(at, std::string::npos) << mail.content;
      const std::size_t number = std::stoul(mail.content.substr(at + 10));
      ASSERT_TRUE(accepted.contains(number)) << number;
      EXPECT_TRUE(seen.insert(number).second) << number << " came twice";
      const auto body = mail.content.substr(mail.content.find("\r\n\r\n") + 4);
      EXPECT_EQ(testing::PrintToString(body), testing::PrintToString(accepted.at(number)));
      EXPECT_FALSE(mail.bare_line_end);
      EXPECT_TRUE(mail.is_to("bob@receiver.test"));
    }
    EXPECT_EQ(seen.size(), accepted.size());
  }

  void start_world() {
    MxSettings settings;
    if (!GetParam()) settings.drop_extension("CHUNKING");
    world_.add_simple_domain("receiver.test", settings);
    start({{"delivery.connections_per_destination", "4"}});
  }

  std::unique_ptr<SmtpClient> client_;
  std::size_t used_ = 0;
};

TEST_P(Smuggling, NoStringThroughDataBecomesASecondMessage) {
  start_world();
  ASSERT_FALSE(HasFatalFailure());
  std::map<std::size_t, std::string> accepted;
  const auto strings = all_strings();
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::string stream = header(i) + strings[i] + "\r\n.\r\n";
    const std::string content = content_of(stream);
    const auto codes = exchange("DATA\r\n" + stream);
    ASSERT_GE(codes.size(), 5u) << testing::PrintToString(strings[i]);
    EXPECT_EQ(codes[2], 354);
    if (is_clean(content)) {
      ASSERT_EQ(codes[3], 250) << testing::PrintToString(strings[i]);
      accepted[i] = content.substr(header(i).size());
    } else {
      ASSERT_EQ(codes[3], 554) << testing::PrintToString(strings[i]);
    }
    // What lay behind a true end is a command, and none that exists.
    for (std::size_t k = 4; k + 1 < codes.size(); ++k) ASSERT_EQ(codes[k] / 100, 5) << strings[i];
  }
  expect_arrived(accepted);
}

TEST_P(Smuggling, NoStringInAChunkBecomesASecondMessage) {
  start_world();
  ASSERT_FALSE(HasFatalFailure());
  std::map<std::size_t, std::string> accepted;
  const auto strings = all_strings();
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::string content = header(i) + strings[i];
    const auto codes = exchange("BDAT " + std::to_string(content.size()) + " LAST\r\n" + content);
    const std::vector<int> expected = {250, 250, is_clean(content) ? 250 : 554, 252};
    ASSERT_EQ(codes, expected) << testing::PrintToString(strings[i]);
    if (!is_clean(content)) continue;
    // The one thing that is ever added: a line end at the end.
    accepted[i] = strings[i].empty() || strings[i].ends_with("\n") ? strings[i] : strings[i] + "\r\n";
  }
  expect_arrived(accepted);
}

INSTANTIATE_TEST_SUITE_P(FarSide, Smuggling, testing::Bool(),
                         [](const auto& chunking) { return chunking.param ? "TakesBdat" : "TakesData"; });

}  // namespace
}  // namespace holdfast::world
