// tests/world/middlebox.h — a man in the middle: stands at the address of an MX and passes bytes on to it,
// tampering as told and keeping all that he saw.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/world/net.h"

namespace holdfast::world {

struct Tampering {
  enum class Way { to_client, to_server };

  // Removes STARTTLS from the replies to EHLO, and refuses the command should it come all the same.
  bool strip_starttls = false;

  // All offsets count the bytes of one direction of one connection, as sent by its source.
  struct Injection {
    Way way = Way::to_client;
    std::size_t at = 0;
    std::string bytes;
  };
  std::vector<Injection> injections;
  std::string inject_after_starttls;         // clear text to the client, right behind the 220 to STARTTLS
  std::optional<std::size_t> cut_to_client;  // both sides are closed once so many bytes were passed on
  std::optional<std::size_t> cut_to_server;
  std::optional<std::size_t> flip_to_client;  // the lowest bit of this byte
  std::optional<std::size_t> flip_to_server;
  std::optional<std::size_t> delay_to_client;  // before this byte, by `delay`
  std::optional<std::size_t> delay_to_server;
  Milliseconds delay{0};
  Milliseconds patience{30000};  // both sides are closed after so long a silence
};

class Middlebox {
 public:
  Middlebox(const Endpoint& at, Endpoint upstream, Tampering tampering);
  ~Middlebox();
  Endpoint endpoint() const { return listener_->endpoint(); }

  void set(Tampering tampering);  // for connections from now on

  std::size_t connections() const;
  // What the clients sent, and what they were sent, of all connections one after the other.
  std::string from_clients() const;
  std::string to_clients() const;

 private:
  void serve(Wire& client);

  const Endpoint upstream_;
  mutable std::mutex mutex_;
  Tampering tampering_;
  std::vector<std::shared_ptr<WireLog>> logs_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace holdfast::world
