// The page for people, served by the real relay and opened in a real browser.
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <iostream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class StatusPage : public EndToEnd {
 protected:
  void start_with_page(std::map<std::string, std::string> settings = {}) {
    settings.insert({"admin.http", "\"127.0.0.1:0\""});
    settings.insert({"delivery.retry", "[\"1h\"]"});
    start(std::move(settings));
    const auto line = relay_->wait_for_log({{"text", "listening"}, {"mode", "admin"}});
    ASSERT_TRUE(line) << relay_->transcript();
    url_ = "http://" + (*line)["address"];
  }
  ProcessEnd fetch(const std::string& path, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {"curl", "-s", "-i", "--path-as-is", url_ + path};
    command.insert(command.end(), more.begin(), more.end());
    return run_process(command);
  }
  std::string page(const std::string& path = "/") const { return fetch(path).out; }

  // A mail that came, one that waits for a hostile MX, one that bounces, and a policy.
  void live_a_little() {
    world_.add_simple_domain("good.test");
    world_.publish_policy("good.test", "enforce", {"mx.good.test"});
    world_.add_simple_domain("busy.test");
    world_.mx("mx.busy.test")
        .on(Stage::rcpt, Reaction::reply("450 4.2.0 <script>alert(1)</script> a\u202Eb"));
    MxSettings broken;
    broken.tls.identity = world_.other_authority().issue("mx.broken.test");
    world_.add_simple_domain("broken.test", broken);
    world_.publish_policy("broken.test", "enforce", {"mx.broken.test"});
    start_with_page();
    submit({"ann@good.test"});
    ASSERT_TRUE(wait_for_end("ann@good.test", "delivered"));
    submit({"bob@busy.test"});
    ASSERT_TRUE(wait_for_end("bob@busy.test", "deferred"));
    submit({"eve@broken.test"});
    ASSERT_TRUE(wait_for_end("eve@broken.test", "deferred"));
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  std::string url_;
};

TEST_F(StatusPage, ShowsTheRelayAtWorkAndWhatPeersSayHarmlessly) {
  live_a_little();
  const auto html = page();
  ASSERT_TRUE(has(html, "HTTP/1.1 200")) << html;
  EXPECT_TRUE(has(html, "Content-Type: text/html; charset=utf-8")) << html;
  EXPECT_TRUE(has(html, "Content-Security-Policy: default-src 'none'; style-src 'sha256-")) << html;
  EXPECT_FALSE(has(html, "unsafe-inline"));
  EXPECT_TRUE(has(html, ">ready</span> relay.test")) << html;
  EXPECT_TRUE(has(html, "<b>3</b><span>accepted, last minute")) << html;
  EXPECT_TRUE(has(html, "<b>1</b><span>delivered, last minute")) << html;
  EXPECT_TRUE(has(html, "<b>2</b><span>deferred")) << html;
  EXPECT_TRUE(has(html, "busy.test"));
  EXPECT_TRUE(has(html, "&lt;script&gt;alert(1)&lt;/script&gt; a")) << html;
  EXPECT_FALSE(has(html, "<script"));
  EXPECT_FALSE(has(html, "\u202E"));
  EXPECT_TRUE(has(html, "certificate-not-trusted")) << html;
  EXPECT_TRUE(has(html, "data-h=\"Domain\">good.test")) << html;
  EXPECT_TRUE(has(html, "2 enforce")) << html;
}

TEST_F(StatusPage, FindsAMessageAndTellsItsStory) {
  live_a_little();
  const auto found = page("/?q=ANN%40good");
  EXPECT_TRUE(has(found, "ann@good.test")) << found;
  const auto link = found.find("/message/");
  ASSERT_NE(link, std::string::npos) << found;
  const auto path = found.substr(link, found.find('"', link) - link);
  const auto story = page(path);
  EXPECT_TRUE(has(story, "<b>accepted</b>")) << story;
  EXPECT_TRUE(has(story, "<b>delivered</b>")) << story;
  EXPECT_TRUE(has(story, "mx.good.test")) << story;
  EXPECT_TRUE(has(page("/?q=" + path.substr(9)), "id=\"timeline\"")) << "an id leads to its message";
  EXPECT_TRUE(has(page("/?q=shop%40sender"), "bob@busy.test")) << "senders are looked for too";

  submit({"cat@good.test"}, "Message-ID: <order-4711@shop.example>\r\n" + canary_message());
  ASSERT_TRUE(wait_for_end("cat@good.test", "delivered"));
  const auto by_message_id = page("/?q=order-4711%40shop.example");
  EXPECT_TRUE(has(by_message_id, "cat@good.test")) << by_message_id;

  const auto nothing = page("/?q=%3Cscript%3E");
  EXPECT_TRUE(has(nothing, "value=\"&lt;script&gt;\"")) << nothing;
  EXPECT_TRUE(has(nothing, "id=\"nothing\"")) << nothing;
  EXPECT_TRUE(has(page("/message/nonsense"), "HTTP/1.1 404"));
  EXPECT_TRUE(has(page("/message/00000000000000000000000000"), "HTTP/1.1 404"));
}

TEST_F(StatusPage, FollowsTheRulesOfTheAdminInterface) {
  start_with_page();
  EXPECT_TRUE(has(fetch("/", {"-H", "Host: rebound.example"}).out, "HTTP/1.1 403"));
  EXPECT_FALSE(has(fetch("/", {"-X", "POST"}).out, "HTTP/1.1 200"));
  const auto by_socket = run_process(
      {"curl", "-s", "-i", "--unix-socket", (relay_->data_dir() / "admin.sock").string(), "http://relay/"});
  EXPECT_TRUE(has(by_socket.out, "HTTP/1.1 200")) << by_socket.out << by_socket.err;
}

TEST_F(StatusPage, AnswersAtOnceWithAThousandDestinationsThatWait) {
  constexpr int kDestinations = 1000;
  world_.add_mx("mx.busy.test").on(Stage::rcpt, Reaction::reply("450 4.2.0 come again"));
  for (int i = 0; i < kDestinations; ++i)
    world_.add_domain("d" + std::to_string(i) + ".test", {"mx.busy.test"});
  start_with_page();
  {
    SmtpClient client(relay_->trusted());
    client.command("EHLO client.test");
    for (int i = 0; i < kDestinations; ++i) {
      const auto to = "user@d" + std::to_string(i) + ".test";
      ASSERT_EQ(client.submit("shop@sender.test", {to}, canary_message()).code, 250);
    }
  }
  const auto all_wait = [&] {
    for (const auto& line : relay_->run_json({"status"})) {
      if (line["queue.deferred"] == std::to_string(kDestinations)) return true;
    }
    return false;
  };
  ASSERT_TRUE(eventually(all_wait, Milliseconds(60000))) << relay_->run({"status"}).out;
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto end = run_process({"curl", "-s", "-o", (world_.folder() / "page.html").string(), "-w",
                                  "%{time_starttransfer} %{time_total} %{size_download}", url_ + "/"});
    ASSERT_EQ(end.code, 0) << end.err;
    best = std::min(best, std::stod(end.out.substr(end.out.find(' '))));
    std::cout << "1,000 destinations wait: first octet, last octet (s), octets: " << end.out << "\n";
  }
  std::ifstream file(world_.folder() / "page.html");
  const std::string html((std::istreambuf_iterator<char>(file)), {});
  for (int i = 0; i < kDestinations; i += 37)
    EXPECT_TRUE(has(html, ">d" + std::to_string(i) + ".test<")) << i;
  EXPECT_LT(best, 1.0) << "the aim is 0.1 s on a machine that does nothing else";
}

TEST_F(StatusPage, WorksInARealBrowserAtDeskAndPhoneWidth) {
  for (const char* program : {"/usr/bin/chromium", "/usr/bin/chromedriver"}) {
    if (::access(program, X_OK) != 0) GTEST_SKIP() << program << " is not installed";
  }
  live_a_little();
  // HOLDFAST_SCREENSHOTS names a folder to keep the pictures in.
  const char* kept = ::getenv("HOLDFAST_SCREENSHOTS");
  const auto folder = kept != nullptr ? std::filesystem::path(kept) : world_.folder() / "screenshots";
  std::filesystem::create_directories(folder);
  const auto end = run_process({"/usr/bin/python3", HOLDFAST_SOURCE_DIR "/tests/end_to_end/open_page.py",
                                url_ + "/", "bob@busy", "bob@busy.test", folder.string()},
                               Milliseconds(110000));
  ASSERT_EQ(end.code, 0) << end.err << end.out;
  const auto seen = JsonLine::parse(end.out.substr(0, end.out.find('\n')));
  ASSERT_TRUE(seen) << end.out;
  EXPECT_EQ((*seen)["title"], "Holdfast relay.test");
  EXPECT_TRUE(has((*seen)["timeline"], "deferred")) << (*seen)["timeline"];
  EXPECT_TRUE(has((*seen)["timeline"], "<script>alert(1)</script>")) << "shown as text, not run";
  for (const char* name : {"status-desk-light.png", "status-phone-dark.png", "message-phone.png"})
    EXPECT_GT(std::filesystem::file_size(folder / name), 5000u) << name;
}

}  // namespace
}  // namespace holdfast::world
