// tests/simulation/mail_host.h — a mail server of the world, with every fault by chance.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/dice.h"
#include "tests/simulation/seen.h"
#include "tests/simulation/trace.h"
#include "tests/simulation/wire.h"

namespace holdfast::simulation {

// What hosts share.
struct Stage {
  Clock& clock;
  Dice& dice;
  Trace& trace;
  Seen& seen;
  bool calm = false;  // nothing fails any more
  int life = 0;       // of the relay, counted
  int waits = 0;      // lookups, connections and disk accesses under way: time then goes in small steps
};

class Waiting {
 public:
  explicit Waiting(Stage& stage) : stage_(stage) { ++stage_.waits; }
  ~Waiting() { --stage_.waits; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Stage& stage_;
};

struct MailHost {
  std::string domain, name, ip;
  Shown shown = Shown::good;
  int key = 0;
  bool offers_tls = true;
  bool chunking = false, requiretls = false, dsn = false;
  double fault_percent = 0;           // of each reply
  double cut_percent = 0;             // of each connection
  double lost_percent = 0;            // of each reply to the end of data
  bool never_fails_for_good = false;  // its faults pass
  // Faults that last.
  bool refuses = false;      // connections
  bool unreachable = false;  // no answer to SYN
  bool silent = false;
  bool greets_badly = false;
  bool stripped = false;     // somebody in between takes STARTTLS away, or refuses it
  bool odd_replies = false;  // with control octets in them
  int slow_seconds = 0;      // before each reply

  unsigned open = 0;  // connections of the relay now
};

class MailSession {
 public:
  MailSession(MailHost& host, Stage& stage, std::unique_ptr<Stream> stream)
      : host_(host), stage_(stage), wire_(std::move(stream)) {}
  asio::awaitable<void> run();

 private:
  asio::awaitable<bool> reply(std::string text);
  asio::awaitable<bool> command(std::string line);
  asio::awaitable<bool> start_tls();
  asio::awaitable<bool> content(std::size_t chunk, bool last, bool chunked);
  asio::awaitable<bool> conclude();
  std::string hello() const;
  std::string or_fault(std::string good);  // "" breaks the connection
  void note_clear(const std::string& words);
  bool under_way() const { return current_.has_value(); }

  MailHost& host_;
  Stage& stage_;
  Wire wire_;
  std::string chunks_;
  std::optional<Passage> current_;
  std::optional<std::size_t> session_;  // in Seen::sessions
  Shown shown_ = Shown::good;           // in this connection's handshake
  int key_ = 0;
  bool odd_said_ = false;  // no reply behind such a one need be read
};

}  // namespace holdfast::simulation
