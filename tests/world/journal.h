// tests/world/journal.h — what arrived in the world: sessions, and the mail they brought. Waits on
// conditions.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/world/net.h"

namespace holdfast::world {

struct TlsUsed {
  bool on = false;
  std::string version, cipher, sni;  // "TLSv1.3"
};

// One SMTP connection to an MX.
struct Session {
  std::uint64_t number = 0;
  std::string mx;  // the host's name
  Endpoint client;
  std::string helo;                   // the last EHLO or HELO
  std::vector<std::string> commands;  // as the server read them, decrypted, without CRLF
  TlsUsed tls;
  std::string tls_error;                // why a handshake failed
  bool bytes_before_handshake = false;  // the client sent something between STARTTLS and its handshake
  bool pipelined_unasked = false;       // more than one command at once, though PIPELINING was not offered
  bool over = false;
  std::shared_ptr<WireLog> wire;  // all bytes, as they passed
};

struct Recipient {
  std::string address;  // without <>
  std::string parameters;
};

struct Mail {
  std::uint64_t session = 0;
  std::string mx, helo;
  std::string reverse_path;           // without <>
  std::string parameters;             // of MAIL: "SIZE=123 BODY=8BITMIME"
  std::vector<Recipient> recipients;  // those accepted
  std::string content;                // dots unstuffed
  bool by_bdat = false;
  bool bare_line_end = false;  // a CR or LF on its own was in DATA
  TlsUsed tls;

  bool is_to(const std::string& address) const;
};

class Journal {
 public:
  std::uint64_t open(Session session);  // gives it its number
  void update(std::uint64_t number, const std::function<void(Session&)>& change);
  void add(Mail mail);
  // Called with every mail from now on, one at a time.
  void on_mail(std::function<void(const Mail&)> observer);

  std::vector<Mail> mails() const;
  std::vector<Session> sessions() const;
  std::vector<Session> sessions(const std::string& mx) const;
  // Everything any client sent to this MX, as seen on the wire.
  std::string wire_bytes(const std::string& mx) const;

  // The first mail (session) that meets the condition, waiting for it if need be; nullopt when time is up.
  std::optional<Mail> wait_for_mail(const std::function<bool(const Mail&)>& wanted,
                                    Milliseconds limit = Milliseconds(20000)) const;
  std::optional<Mail> wait_for_mail_to(const std::string& address,
                                       Milliseconds limit = Milliseconds(20000)) const;
  std::optional<Session> wait_for_session(const std::function<bool(const Session&)>& wanted,
                                          Milliseconds limit = Milliseconds(20000)) const;
  // Waits for a condition over everything; false when time is up.
  bool wait_until(
      const std::function<bool(const std::vector<Mail>&, const std::map<std::uint64_t, Session>&)>& met,
      Milliseconds limit = Milliseconds(20000)) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::uint64_t, Session> sessions_;
  std::vector<Mail> mails_;
  std::function<void(const Mail&)> observer_;
  std::uint64_t next_ = 1;
};

}  // namespace holdfast::world
