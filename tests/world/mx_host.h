// tests/world/mx_host.h — a mail exchanger that does as it is told.
//
// Settings are read when a session starts and rules whenever they apply, so both may change while it runs.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/world/journal.h"
#include "tests/world/net.h"
#include "tests/world/tls_channel.h"

namespace holdfast::world {

struct MxSettings {
  std::vector<std::string> extensions = {"PIPELINING", "SIZE 52428800", "8BITMIME",           "CHUNKING",
                                         "DSN",        "SMTPUTF8",      "ENHANCEDSTATUSCODES"};
  bool starttls = true;     // offered, and taken
  bool requiretls = false;  // offered after TLS
  bool implicit_tls = false;
  ServerTls tls;          // its identity: the host's own sound one, unless set
  std::string helo_name;  // what it calls itself; empty = its host name

  void drop_extension(const std::string& keyword);
};

// Where in a conversation a rule applies.
enum class Stage {
  connect,
  helo,
  starttls,
  handshake,
  mail,
  rcpt,
  data,
  bdat,
  end_of_data,
  rset,
  noop,
  quit
};

struct Reaction {
  enum class Kind {
    reply,       // say `text` instead of the usual; a 2xx or 3xx goes on as usual, anything else refuses
    hang,        // say nothing until the client goes
    drop,        // close the connection (FIN) without a word
    reset,       // the same with RST
    reply_drop,  // say `text`, then close: 421
    delay,       // wait, then as usual
  };
  Kind kind = Kind::reply;
  std::string text;  // lines parted by "\n", sent with CRLF
  Milliseconds wait{0};

  static Reaction reply(std::string lines) { return {Kind::reply, std::move(lines), {}}; }
  static Reaction reply_then_drop(std::string lines) { return {Kind::reply_drop, std::move(lines), {}}; }
  static Reaction hang() { return {Kind::hang, {}, {}}; }
  static Reaction drop() { return {Kind::drop, {}, {}}; }
  static Reaction reset() { return {Kind::reset, {}, {}}; }
  static Reaction delay(Milliseconds wait) { return {Kind::delay, {}, wait}; }
};

class MxHost {
 public:
  static constexpr int kAlways = -1;

  MxHost(std::string name, const Endpoint& at, MxSettings settings, Journal& journal);
  ~MxHost();
  const std::string& name() const { return name_; }
  Endpoint endpoint() const { return endpoint_; }

  MxSettings settings() const;
  void set(MxSettings settings);

  // From now on, `times` times: at this stage, when the command line contains `containing`, react so.
  // The first rule that fits counts.
  void on(Stage stage, Reaction reaction, std::string containing = {}, int times = kAlways);
  void clear_rules();

  void stop_listening();  // connections are refused
  void listen_again();    // on the same address

  // For a session: the reaction that a rule asks for, used up by asking.
  std::optional<Reaction> reaction(Stage stage, const std::string& line);

 private:
  struct Rule {
    Stage stage;
    std::string containing;
    Reaction reaction;
    int left;
  };
  void listen(const Endpoint& at);

  const std::string name_;
  Journal& journal_;
  mutable std::mutex mutex_;
  MxSettings settings_;
  std::vector<Rule> rules_;
  Endpoint endpoint_;
  std::unique_ptr<Listener> listener_;
};

// mx_session.cc: one conversation, from greeting to end.
void converse(MxHost& host, Wire& wire, Journal& journal);

}  // namespace holdfast::world
