#include "tests/simulation/submitter.h"

#include <boost/asio/this_coro.hpp>

#include "smtp/wire/base64.h"

namespace holdfast::simulation {
namespace {

std::string stuffed(std::string_view content) {
  std::string out;
  bool at_start = true;
  for (const char c : content) {
    if (at_start && c == '.') out += '.';
    out += c;
    at_start = c == '\n';
  }
  return out;
}

class Client {
 public:
  Client(World& world, Letter& letter, std::unique_ptr<Stream> stream)
      : world_(world), letter_(letter), wire_(std::move(stream)) {}

  asio::awaitable<void> run() {
    const bool ready = co_await introduce();
    if (!ready) co_return;
    const bool open = co_await envelope();
    if (!open) co_return;
    co_await content();
  }

 private:
  // The last line of a reply; "" when the connection is over.
  asio::awaitable<std::string> reply() {
    for (;;) {
      auto line = co_await wire_.line();
      if (!line) co_return "";
      if (line->size() < 4 || (*line)[3] != '-') {
        world_.trace.add("client", std::to_string(letter_.number) + " gets " + line->substr(0, 60));
        co_return *line;
      }
      hello_ += *line + "\n";
    }
  }
  asio::awaitable<std::string> ask(std::string command) {
    if (letter_.way == Letter::Way::slow) co_await sleep_for(world_.clock, std::chrono::seconds(7));
    command += "\r\n";
    const bool sent = co_await wire_.send(std::move(command));
    if (!sent) co_return "";
    co_return co_await reply();
  }

  asio::awaitable<bool> introduce() {
    std::string said = co_await reply();
    if (!said.starts_with("220")) co_return false;
    said = co_await ask("EHLO client.origin.example");
    if (!said.starts_with("250")) co_return false;
    if (!letter_.over_tls) co_return true;
    if (letter_.way == Letter::Way::clear_auth) {
      said = co_await ask("AUTH PLAIN " + base64_encode(std::string("\0app\0secret", 11)));
      if (said.starts_with("2")) world_.seen.fail("invariant 31: AUTH was taken in clear");
    }
    said = co_await ask("STARTTLS");
    if (!said.starts_with("220")) co_return false;
    const bool up = co_await wire_.connect_tls(trusted_roots(), "relay.example");
    if (!up) co_return false;
    said = co_await ask("EHLO client.origin.example");
    if (!said.starts_with("250")) co_return false;
    said = co_await ask("AUTH PLAIN " + base64_encode(std::string("\0app\0secret", 11)));
    co_return said.starts_with("235");
  }

  std::string mail() const {
    std::string line = "MAIL FROM:<" + letter_.from + ">";
    if (letter_.requiretls) line += " REQUIRETLS";
    return line;
  }
  std::string rcpt(const std::string& to) const {
    return "RCPT TO:<" + to + ">" + (letter_.notify_never ? " NOTIFY=NEVER" : "");
  }

  asio::awaitable<bool> envelope() {
    std::vector<std::string> answers;
    if (letter_.pipelined) {
      std::string all = mail() + "\r\n";
      for (const auto& to : letter_.to) all += rcpt(to) + "\r\n";
      const bool sent = co_await wire_.send(std::move(all));
      if (!sent) co_return false;
      for (std::size_t i = 0; i <= letter_.to.size(); ++i) {
        std::string said = co_await reply();
        answers.push_back(std::move(said));
      }
    } else {
      std::string said = co_await ask(mail());
      answers.push_back(std::move(said));
      for (const auto& to : letter_.to) {
        if (!answers.front().starts_with("250")) break;
        said = co_await ask(rcpt(to));
        answers.push_back(std::move(said));
      }
    }
    if (letter_.way == Letter::Way::wrong_sender && answers.front().starts_with("250"))
      world_.seen.fail("invariant 32: MAIL FROM:<" + letter_.from + "> was taken from a user who may not");
    for (std::size_t i = 1; i < answers.size(); ++i)
      if (answers[i].starts_with("250")) letter_.taken.push_back(letter_.to[i - 1]);
    co_return answers.front().starts_with("250") && !letter_.taken.empty();
  }

  asio::awaitable<void> content() {
    const bool halved = letter_.way == Letter::Way::drops_in_content;
    if (!letter_.chunked) {
      const std::string said = co_await ask("DATA");
      if (!said.starts_with("354")) co_return;
    }
    std::string octets = letter_.chunked ? letter_.content : stuffed(letter_.content);
    if (letter_.chunked) {
      const std::size_t first = octets.size() / 3;
      const std::string head = "BDAT " + std::to_string(first) + "\r\n" + octets.substr(0, first);
      const bool sent = co_await wire_.send(head);
      if (!sent) co_return;
      const std::string said = co_await reply();
      if (!said.starts_with("250")) co_return;
      octets.erase(0, first);
      octets = "BDAT " + std::to_string(octets.size()) + " LAST\r\n" + octets;
    }
    if (halved) {
      octets.resize(octets.size() / 2);
      co_await wire_.send(std::move(octets));
      wire_.close();
      co_return;  // nothing of it may be delivered
    }
    letter_.outcome = Letter::Outcome::unknown;
    if (!letter_.chunked) octets += ".\r\n";
    for (std::size_t at = 0; at < octets.size(); at += 4096) {
      if (letter_.way == Letter::Way::slow) co_await sleep_for(world_.clock, std::chrono::seconds(3));
      const bool sent = co_await wire_.send(octets.substr(at, 4096));
      if (!sent) co_return;
    }
    if (letter_.way == Letter::Way::leaves_after_dot) {
      wire_.close();
      co_return;
    }
    const std::string said = co_await reply();
    if (said.empty()) co_return;
    letter_.outcome = said.starts_with("250") ? Letter::Outcome::accepted : Letter::Outcome::refused;
    if (const auto at = said.find("queued as "); at != std::string::npos) letter_.id = said.substr(at + 10);
    co_await ask("QUIT");
  }

  World& world_;
  Letter& letter_;
  Wire wire_;
  std::string hello_;
};

}  // namespace

Letter draw_letter(World& world, int number) {
  Dice& dice = world.dice;
  Letter letter;
  letter.number = number;
  letter.from = dice.chance(5) ? "" : "s" + std::to_string(number) + "@origin.example";
  const int recipients = dice.chance(10) ? dice.between(5, 12) : dice.between(1, 3);
  for (int i = 0; i < recipients; ++i) {
    const auto& domain = *dice.one_of(world.domains);
    letter.to.push_back("m" + std::to_string(number) + "r" + std::to_string(i) + "@" + domain.name);
  }
  letter.over_tls = dice.chance(25);
  letter.requiretls = letter.over_tls && dice.chance(30);
  letter.notify_never = dice.chance(8);
  letter.chunked = dice.chance(30);
  letter.pipelined = dice.chance(50);
  using Way = Letter::Way;
  if (dice.chance(25)) {
    letter.way =
        dice.one_of(std::vector<Way>{Way::drops_in_content, Way::leaves_after_dot, Way::leaves_after_dot,
                                     Way::slow, Way::wrong_sender, Way::clear_auth});
  }
  if (letter.way == Way::wrong_sender || letter.way == Way::clear_auth) letter.over_tls = true;
  if (letter.way == Way::wrong_sender) letter.from = "someone@else.example";
  const std::string tag = std::to_string(number);
  letter.content = "From: s" + tag + "@origin.example\r\nTo: all@origin.example\r\nSubject: letter " + tag +
                   "\r\nMessage-ID: <" + tag +
                   "@origin.example>\r\nDate: Sun, 01 Mar 2026 18:00:00 +0000\r\n\r\n" + "BODY-" + tag +
                   "-BODY\r\n.\r\n..two\r\n.three\r\n";
  const int lines = dice.chance(15) ? dice.between(100, 600) : dice.between(0, 20);
  for (int i = 0; i < lines; ++i)
    letter.content += "line " + std::to_string(i) + " of some length, as mail has\r\n";
  return letter;
}

Letter repeated(const Letter& letter, int number) {
  Letter again;
  again.number = number;
  again.from = letter.from;
  for (const auto& to : letter.to) again.to.push_back("m" + std::to_string(number) + to.substr(to.find('r')));
  again.content = letter.content;
  again.over_tls = letter.over_tls;
  again.requiretls = letter.requiretls;
  again.notify_never = letter.notify_never;
  return again;
}

asio::awaitable<void> submit(World& world, int number, std::unique_ptr<Stream> stream) {
  co_await asio::this_coro::throw_if_cancelled(false);
  Letter& letter = world.seen.letters.at(number);
  letter.life = world.stage.life;
  if (stream) {
    Client client(world, letter, std::move(stream));
    co_await client.run();
  }
  letter.ended = world.clock.now();
  world.trace.add("letter", std::to_string(number) + " outcome " +
                                std::to_string(static_cast<int>(letter.outcome)) + " " + letter.id);
}

}  // namespace holdfast::simulation
