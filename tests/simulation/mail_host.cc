#include "tests/simulation/mail_host.h"

#include <boost/asio/this_coro.hpp>

namespace holdfast::simulation {
namespace {

std::string path_of(const std::string& line) {
  const auto from = line.find('<');
  const auto to = line.find('>', from);
  return from == std::string::npos || to == std::string::npos ? "" : line.substr(from + 1, to - from - 1);
}

// Dot stuffing undone; what stands behind a line break of its own kind would show as a line here.
std::string unstuffed(std::string_view data) {
  std::string out;
  while (!data.empty()) {
    const auto end = data.find("\r\n") + 2;
    std::string_view line = data.substr(0, end);
    data.remove_prefix(end);
    if (line.starts_with(".")) line.remove_prefix(1);
    out += line;
  }
  return out;
}

}  // namespace

std::string MailSession::or_fault(std::string good) {
  if (stage_.calm || !stage_.dice.chance(host_.fault_percent)) return good;
  switch (stage_.dice.below(host_.never_fails_for_good ? 4 : 6)) {
    case 0: return "";
    case 1: return "421 4.3.2 closing";
    case 2: return "450 4.2.0 later";
    case 3: return "451 4.7.1 slow down";
    case 4: return "550 5.1.1 never";
    default: return "550 5.7.1 not you";
  }
}

asio::awaitable<bool> MailSession::reply(std::string text) {
  if (text.empty()) {
    stage_.trace.add("cut", host_.name);
    wire_.close();
    co_return false;
  }
  if (host_.slow_seconds > 0 && !stage_.calm)
    co_await sleep_for(stage_.clock, std::chrono::seconds(host_.slow_seconds));
  if (host_.odd_replies && !stage_.calm && text[0] != '2' && text[0] != '3') {
    text += std::string(" odd\x01\x0b\0\x7f\x9b octets", 17);
    odd_said_ = true;
  }
  stage_.trace.add("says", host_.name + (wire_.is_tls() ? " tls " : " clear ") + text.substr(0, 30));
  std::string line = text + "\r\n";
  const bool sent = co_await wire_.send(std::move(line));
  if (text.starts_with("421")) {
    wire_.close();
    co_return false;
  }
  co_return sent;
}

std::string MailSession::hello() const {
  std::vector<std::string> lines = {host_.name, "PIPELINING", "8BITMIME", "SIZE 10000000",
                                    "ENHANCEDSTATUSCODES"};
  if (host_.chunking) lines.emplace_back("CHUNKING");
  if (host_.dsn) lines.emplace_back("DSN");
  if (wire_.is_tls() && host_.requiretls) lines.emplace_back("REQUIRETLS");
  if (!wire_.is_tls() && host_.offers_tls && !host_.stripped) lines.emplace_back("STARTTLS");
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i)
    out += (i == 0 ? "" : "\r\n") + std::string("250") + (i + 1 == lines.size() ? " " : "-") + lines[i];
  return out;
}

asio::awaitable<void> MailSession::run() {
  co_await asio::this_coro::throw_if_cancelled(false);
  if (!stage_.calm && stage_.dice.chance(host_.cut_percent))
    wire_.octets_until_cut = static_cast<std::size_t>(stage_.dice.between(1, 1500));
  if (host_.silent) {
    co_await wire_.line();
    co_return;
  }
  std::string greeting = "220 " + host_.name + " ESMTP";
  if (host_.greets_badly) greeting = "554 5.7.1 go away";
  bool going = co_await reply(std::move(greeting));
  while (going) {
    auto line = co_await wire_.line();
    if (!line) break;
    going = co_await command(std::move(*line));
  }
  if (current_) stage_.seen.passages.push_back(std::move(*current_));
}

void MailSession::note_clear(const std::string& words) {
  if (!wire_.is_tls())
    stage_.seen.in_clear.push_back({host_.domain, host_.name, words.substr(0, 100), stage_.clock.now()});
}

asio::awaitable<bool> MailSession::start_tls() {
  if (host_.stripped || !host_.offers_tls) {
    const bool sent = co_await reply("454 4.7.0 not now");
    co_return sent;
  }
  const std::string said = or_fault("220 2.0.0 go");
  const bool sent = co_await reply(said);
  if (!sent || !said.starts_with("220")) co_return sent;
  const HostIdentity& identity = identity_of(host_.name, host_.shown, host_.key);
  shown_ = host_.shown;
  key_ = host_.key;
  const bool up = co_await wire_.accept_tls(identity.context);
  stage_.trace.add("tls", host_.name + (up ? " up" : " failed"));
  if (!up) co_return false;
  Session session;
  session.domain = host_.domain;
  session.host = host_.name;
  session.authentic = shown_ == Shown::good;
  session.at = stage_.clock.now();
  session_ = stage_.seen.sessions.size();
  stage_.seen.sessions.push_back(session);
  co_return true;
}

asio::awaitable<bool> MailSession::command(std::string line) {
  const std::string verb = line.substr(0, 4);
  stage_.trace.add("hears", host_.name + (wire_.is_tls() ? " tls " : " clear ") + line.substr(0, 90));
  if (line.find_first_of(std::string("\r\n\0", 3)) != std::string::npos)
    stage_.seen.fail("invariant 28: a command holds CR, LF or NUL: " + host_.name);
  if (verb == "EHLO" || verb == "HELO") {
    if (session_ && wire_.is_tls()) stage_.seen.sessions[*session_].went_on = true;
    const std::string said = or_fault(hello());
    co_return co_await reply(said);
  }
  if (verb == "QUIT") {
    co_await reply("221 2.0.0 bye");
    co_return false;
  }
  if (line == "STARTTLS") co_return co_await start_tls();
  if (verb == "RSET" || verb == "NOOP") {
    if (verb == "RSET" && current_) {
      stage_.seen.passages.push_back(std::move(*current_));
      current_.reset();
    }
    chunks_.clear();
    co_return co_await reply("250 2.0.0 ok");
  }
  if (verb == "MAIL") {
    note_clear(line);
    Passage passage;
    passage.life = stage_.life;
    passage.domain = host_.domain;
    passage.host = host_.name;
    passage.from = path_of(line);
    passage.mail_command = line;
    passage.tls = wire_.is_tls();
    passage.shown = shown_;
    passage.key = key_;
    passage.requiretls_offered = wire_.is_tls() && host_.requiretls;
    passage.at = stage_.clock.now();
    chunks_.clear();
    const std::string said = or_fault("250 2.1.0 ok");
    if (said.starts_with("250")) current_ = std::move(passage);
    co_return co_await reply(said);
  }
  if ((verb == "RCPT" || verb == "DATA" || verb == "BDAT") && !under_way() && verb != "BDAT")
    co_return co_await reply("503 5.5.1 MAIL first");
  if (verb == "RCPT") {
    note_clear(line);
    const std::string to = path_of(line);
    const std::string said = or_fault("250 2.1.5 ok");
    if (said.starts_with("250")) current_->to.push_back(to);
    co_return co_await reply(said);
  }
  if (verb == "DATA") {
    if (current_->to.empty()) co_return co_await reply("554 5.5.1 no valid recipients");
    const std::string said = or_fault("354 go on");
    const bool sent = co_await reply(said);
    if (!sent || !said.starts_with("354")) co_return sent;
    co_return co_await content(0, true, false);
  }
  if (verb == "BDAT") {
    const bool last = line.ends_with(" LAST");
    co_return co_await content(static_cast<std::size_t>(std::stoull(line.substr(5))), last, true);
  }
  co_return co_await reply("500 5.5.2 what");
}

asio::awaitable<bool> MailSession::content(std::size_t chunk, bool last, bool chunked) {
  if (chunked) {
    auto octets = co_await wire_.octets(chunk);
    if (!octets) co_return false;
    chunks_ += *octets;
    if (!chunks_.empty()) note_clear("content");
    if (!current_ || current_->to.empty()) co_return co_await reply("503 5.5.1 MAIL first");
    if (!last) co_return co_await reply("250 2.0.0 more");
    current_->content = std::move(chunks_);
  } else {
    auto octets = co_await wire_.until("\r\n.\r\n");
    if (!octets) co_return false;
    note_clear("content");
    octets->resize(octets->size() - 3);
    current_->content = unstuffed(*octets);
  }
  chunks_.clear();
  co_return co_await conclude();
}

asio::awaitable<bool> MailSession::conclude() {
  Passage passage = std::move(*current_);
  current_.reset();
  if (session_ && passage.content.find("TLS-Report-Domain:") != std::string::npos)
    stage_.seen.sessions[*session_].carries_report = true;
  std::string said = or_fault("250 2.0.0 taken");
  passage.end = said.starts_with("250") ? Passage::End::taken : Passage::End::refused;
  if (passage.end == Passage::End::taken && !stage_.calm && stage_.dice.chance(host_.lost_percent)) said = "";
  // The place is kept: whether the answer arrives shows below.
  const std::size_t place = stage_.seen.passages.size();
  if (passage.end == Passage::End::taken) passage.end = Passage::End::in_doubt;
  const bool taken = passage.end == Passage::End::in_doubt;
  passage.ended = stage_.clock.now();
  stage_.seen.passages.push_back(std::move(passage));
  const bool sent = co_await reply(said);
  stage_.seen.passages[place].ended = stage_.clock.now();
  if (sent && taken && !odd_said_) stage_.seen.passages[place].end = Passage::End::taken;
  co_return sent;
}

}  // namespace holdfast::simulation
