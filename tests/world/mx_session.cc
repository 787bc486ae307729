#include <algorithm>
#include <cctype>

#include "tests/world/mx_host.h"

namespace holdfast::world {
namespace {

constexpr Milliseconds kForever{600000};
constexpr std::size_t kMaxLine = 65536;

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

// "MAIL FROM:<a@b> SIZE=1" -> {"a@b", "SIZE=1"}; nullopt when there are no angle brackets.
std::optional<Recipient> path_of(const std::string& line) {
  const auto open = line.find('<');
  const auto close = line.find('>', open);
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  const auto rest = line.find_first_not_of(' ', close + 1);
  return Recipient{line.substr(open + 1, close - open - 1),
                   rest == std::string::npos ? "" : line.substr(rest)};
}

class Conversation {
 public:
  Conversation(MxHost& host, Wire& wire, Journal& journal)
      : host_(host), wire_(wire), journal_(journal), settings_(host.settings()), channel_(&wire) {
    Session session;
    session.mx = host.name();
    session.client = wire.remote();
    session.wire = wire.log();
    number_ = journal.open(std::move(session));
  }
  ~Conversation() {
    journal_.update(number_, [](Session& session) { session.over = true; });
  }

  void run() {
    if (settings_.implicit_tls && !handshake()) return;
    const std::string name = settings_.helo_name.empty() ? host_.name() : settings_.helo_name;
    if (!react(Stage::connect, "", "220 " + name + " ESMTP ready")) return;
    if (last_[0] != '2') refused_ = true;  // RFC 5321 section 3.1: only QUIT follows
    while (auto line = read_line()) {
      journal_.update(number_, [&](Session& session) { session.commands.push_back(*line); });
      if (!settings_has("PIPELINING") && !buffer_.empty() && !upper(*line).starts_with("BDAT")) {
        journal_.update(number_, [](Session& session) { session.pipelined_unasked = true; });
      }
      if (!command(*line)) break;
    }
    if (tls_) tls_->close_notify();
  }

 private:
  bool settings_has(const std::string& keyword) const {
    return std::any_of(settings_.extensions.begin(), settings_.extensions.end(),
                       [&](const std::string& line) { return line.substr(0, line.find(' ')) == keyword; });
  }

  bool say(const std::string& lines) {
    std::string out;
    for (const char c : lines) out += c == '\n' ? std::string("\r\n") : std::string(1, c);
    last_ = lines.empty() ? std::string("?") : lines.substr(lines.rfind('\n') + 1);
    return channel_->write(out + "\r\n");
  }

  // Says what the rules ask for, else `usual`. False when the connection is to end. last_ has what was said.
  bool react(Stage stage, const std::string& line, const std::string& usual) {
    return perform(host_.reaction(stage, line), usual);
  }

  bool perform(const std::optional<Reaction>& reaction, const std::string& usual) {
    if (!reaction) return say(usual);
    switch (reaction->kind) {
      case Reaction::Kind::reply: return say(reaction->text);
      case Reaction::Kind::reply_drop: say(reaction->text); return false;
      case Reaction::Kind::hang: wire_.wait_for_end(kForever); return false;
      case Reaction::Kind::reset: wire_.reset(); return false;
      case Reaction::Kind::drop: return false;
      case Reaction::Kind::delay: return !wire_.wait_for_end(reaction->wait) && say(usual);
    }
    return false;
  }
  bool agreed() const { return last_[0] == '2' || last_[0] == '3'; }

  bool fill() {
    char data[16384];
    const std::size_t n = channel_->read(data, sizeof data);
    buffer_.append(data, n);
    return n > 0;
  }

  std::optional<std::string> read_line() {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (buffer_.size() > kMaxLine || !fill()) return std::nullopt;
    }
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return line;
  }

  bool command(const std::string& line) {
    const std::string verb = upper(line.substr(0, line.find(' ')));
    if (verb == "QUIT") {
      react(Stage::quit, line, "221 2.0.0 bye");
      return false;
    }
    if (refused_) return say("503 5.5.1 no service here");
    if (verb == "EHLO" || verb == "HELO") return hello(line, verb == "EHLO");
    if (verb == "STARTTLS") return starttls(line);
    if (verb == "NOOP") return react(Stage::noop, line, "250 2.0.0 ok");
    if (verb == "RSET") {
      forget();
      return react(Stage::rset, line, "250 2.0.0 forgotten");
    }
    if (helo_.empty()) return say("503 5.5.1 say EHLO first");
    if (verb == "MAIL") return mail(line);
    if (verb == "RCPT") return rcpt(line);
    if (verb == "DATA") return data(line);
    if (verb == "BDAT") return bdat(line);
    return say("500 5.5.2 unknown command");
  }

  bool hello(const std::string& line, bool extended) {
    forget();
    helo_ = line.size() > 5 ? line.substr(5) : "";
    if (helo_.empty()) return say("501 5.5.4 a name, please");
    journal_.update(number_, [&](Session& session) { session.helo = helo_; });
    std::vector<std::string> lines = {host_.name() + " greets " + helo_};
    if (extended) {
      lines.insert(lines.end(), settings_.extensions.begin(), settings_.extensions.end());
      if (settings_.starttls && !tls_) lines.emplace_back("STARTTLS");
      if (settings_.requiretls && tls_) lines.emplace_back("REQUIRETLS");
    }
    std::string reply;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      reply += (i == 0 ? "250" : "\n250") + std::string(i + 1 == lines.size() ? " " : "-") + lines[i];
    }
    if (!react(Stage::helo, line, reply)) return false;
    if (!agreed()) helo_.clear();
    return true;
  }

  bool starttls(const std::string& line) {
    if (tls_) return say("503 5.5.1 TLS is on already");
    if (!react(Stage::starttls, line, settings_.starttls ? "220 2.0.0 go ahead" : "502 5.5.1 not here"))
      return false;
    return !agreed() || handshake();
  }

  bool handshake() {
    if (!buffer_.empty()) {
      journal_.update(number_, [](Session& session) { session.bytes_before_handshake = true; });
      buffer_.clear();
    }
    if (const auto reaction = host_.reaction(Stage::handshake, "")) {
      if (reaction->kind == Reaction::Kind::reply)
        say(reaction->text);  // clear text in place of a ServerHello
      if (reaction->kind == Reaction::Kind::hang) wire_.wait_for_end(kForever);
      if (reaction->kind == Reaction::Kind::reset) wire_.reset();
      if (reaction->kind != Reaction::Kind::delay || wire_.wait_for_end(reaction->wait)) return false;
    }
    std::string error;
    tls_ = TlsChannel::accept(wire_, settings_.tls, error);
    if (!tls_) {
      journal_.update(number_, [&](Session& session) { session.tls_error = error; });
      return false;
    }
    channel_ = tls_.get();
    helo_.clear();
    forget();
    used_ = {true, tls_->version(), tls_->cipher(), tls_->server_name()};
    journal_.update(number_, [&](Session& session) { session.tls = used_; });
    return true;
  }

  bool mail(const std::string& line) {
    const auto path = path_of(line);
    if (mail_) return say("503 5.5.1 one transaction at a time");
    if (!path) return say("501 5.5.4 bad reverse-path");
    if (!react(Stage::mail, line, "250 2.1.0 sender ok")) return false;
    if (agreed()) {
      mail_.emplace();
      mail_->reverse_path = path->address;
      mail_->parameters = path->parameters;
    }
    return true;
  }

  bool rcpt(const std::string& line) {
    auto path = path_of(line);
    if (!mail_) return say("503 5.5.1 MAIL first");
    if (!path || path->address.empty()) return say("501 5.5.4 bad recipient");
    if (!react(Stage::rcpt, line, "250 2.1.5 recipient ok")) return false;
    if (agreed()) mail_->recipients.push_back(std::move(*path));
    return true;
  }

  bool data(const std::string& line) {
    if (!mail_) return say("503 5.5.1 MAIL first");
    if (mail_->recipients.empty()) return say("554 5.5.1 no valid recipients");
    if (!react(Stage::data, line, "354 go on, end with a dot")) return false;
    if (!agreed()) return true;
    // The terminator may come at once: a message without a line is only ".\r\n".
    std::string raw = "\r\n";
    std::size_t end = 0, from = 0;
    for (;;) {
      raw += std::exchange(buffer_, {});
      end = raw.find("\r\n.\r\n", from);
      if (end != std::string::npos) break;
      from = raw.size() > 4 ? raw.size() - 4 : 0;
      if (!fill()) return false;
    }
    buffer_ = raw.substr(end + 5);
    raw.resize(end + 2);
    for (std::size_t i = 2; i < raw.size(); ++i) {
      const bool bare = (raw[i] == '\n' && raw[i - 1] != '\r') || (raw[i] == '\r' && raw[i + 1] != '\n');
      if (bare) mail_->bare_line_end = true;
    }
    for (std::size_t i = 2; i < raw.size(); ++i) {
      const bool stuffed = raw[i] == '.' && raw[i - 1] == '\n' && raw[i - 2] == '\r';
      if (!stuffed) mail_->content += raw[i];
    }
    return finish(line, false);
  }

  bool bdat(const std::string& line) {
    std::size_t size = 0;
    try {
      size = std::stoul(line.substr(5));
    } catch (const std::exception&) {
      return say("501 5.5.4 how many?");
    }
    while (buffer_.size() < size) {
      if (!fill()) return false;
    }
    if (!mail_ || mail_->recipients.empty()) {
      buffer_.erase(0, size);
      return say("503 5.5.1 no recipients");
    }
    mail_->content += buffer_.substr(0, size);
    buffer_.erase(0, size);
    if (upper(line).find(" LAST") != std::string::npos) return finish(line, true);
    return react(Stage::bdat, line, "250 2.0.0 chunk taken");
  }

  bool finish(const std::string& line, bool by_bdat) {
    Mail mail = std::move(*mail_);
    forget();
    mail.session = number_;
    mail.mx = host_.name();
    mail.helo = helo_;
    mail.by_bdat = by_bdat;
    mail.tls = used_;
    const auto reaction = host_.reaction(Stage::end_of_data, line);
    // It is in the journal before the client hears of it, so that a test may look as soon as the client
    // knows.
    const bool taken =
        !reaction || reaction->kind == Reaction::Kind::delay || reaction->text.starts_with('2');
    if (taken) journal_.add(std::move(mail));
    return perform(reaction, "250 2.0.0 taken");
  }

  void forget() { mail_.reset(); }

  MxHost& host_;
  Wire& wire_;
  Journal& journal_;
  const MxSettings settings_;
  Channel* channel_;
  std::unique_ptr<TlsChannel> tls_;
  std::uint64_t number_ = 0;
  std::string buffer_, last_ = "?", helo_;
  bool refused_ = false;
  TlsUsed used_;
  std::optional<Mail> mail_;
};

}  // namespace

void converse(MxHost& host, Wire& wire, Journal& journal) { Conversation(host, wire, journal).run(); }

}  // namespace holdfast::world
