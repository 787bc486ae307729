// mta/admin_door.h — one listener of the admin interface: who may ask through it, and who has a place there.
//
// Who may ask: on the unix socket, whoever the file's rights admit (mode 0600, the relay's user). On TCP,
// anyone on loopback may read; a change, and any request from elsewhere, needs the bearer token of
// `admin.token_file`, compared in constant time. For reading, a browser may give it as a password (RFC 7617),
// under any user name; a change it may not, since browsers send passwords along with what other sites make
// them ask. Requests whose Host is not ours are refused: a browser that was led here by DNS rebinding carries
// a foreign one.
//
// Places: each door has its own, so that whoever fills the TCP port leaves the socket to the operator and the
// health check. When all are taken, a newcomer gets that of the connection that has waited for its client the
// longest and never showed the token: who came early and is silent keeps nobody out.
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>

#include "smtp/base/clock.h"

namespace holdfast {

// Connections through one door: an operator, a scraper and a health check; not a crowd.
inline constexpr std::size_t kMaxAdminConnections = 64;

// Lives on one executor, but for use_token().
class AdminDoor {
 public:
  enum class Kind { unix_socket, tcp };
  // Without a token nobody has one to show.
  explicit AdminDoor(Kind kind, std::string token = {}) : kind_(kind), token_(std::move(token)) {}
  AdminDoor(const AdminDoor&) = delete;
  AdminDoor& operator=(const AdminDoor&) = delete;

  // What a request says of who asks; `near`: the peer is on loopback, as far as its address tells. What Host
  // says, the peer chooses.
  struct Caller {
    bool near = false;
    bool changes = false;  // POST
    std::string_view host, authorization;
  };
  struct Verdict {
    int status = 0;   // of the refusal; 0 = may ask
    std::string why;  // of the refusal
    bool asks_for_password = false;
    bool showed_token = false;  // in either form
    bool trusted = false;       // came over the unix socket or with the bearer token
  };
  Verdict judge(const Caller& caller) const;

  // A reload: holds from the next request on, also on open connections. Any thread.
  void use_token(std::string token);

  // A connection's place, from when it is accepted.
  class Place {
   public:
    // `give_way` closes the connection; it is called while the connection waits for its client.
    Place(AdminDoor& door, std::function<void()> give_way);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    void waits_since(SteadyTime now) { waits_since_ = now; }  // for the client to ask, or to read
    void works() { waits_since_.reset(); }                    // somebody is waiting for us
    void showed_token(bool showed) { showed_token_ = showed_token_ || showed; }

   private:
    friend class AdminDoor;
    AdminDoor& door_;
    std::function<void()> give_way_;
    std::list<Place*>::iterator at_;
    std::optional<SteadyTime> waits_since_;
    bool showed_token_ = false, leaves_ = false;
  };

  // Whether one more may come; who gives way is told to.
  bool make_room();

 private:
  std::string token() const;

  const Kind kind_;
  mutable std::mutex mutex_;
  std::string token_;  // "" = none configured
  std::list<Place*> places_;
};

// Whether a Host field names this machine for itself: localhost, or an address on loopback. A name that only
// begins like one ("127.example.net") is anybody's.
bool names_loopback(std::string_view host);

}  // namespace holdfast
