// mta/admin_setup.h — the part of the admin API that is about how the relay is set up: users, signing keys,
// DNS records, the configuration, and what a domain would answer. What the commands of the same names do.
//
//   GET  /v1/config                        the values in force, as TOML; secrets are masked
//   GET  /v1/users                         JSON lines
//   POST /v1/users/add?name=&senders=a,b&messages=&recipients=&tls_required_no=1    body: a crypt(5) hash
//   POST /v1/users/passwd?name=            body: a crypt(5) hash
//   POST /v1/users/{remove,suspend,resume}?name=
//   GET  /v1/dkim[?selector=]              JSON lines, the records to publish
//   GET  /v1/dkim/check[?selector=]        JSON lines, are they published?
//   POST /v1/dkim/keygen?domain=[&selector=][&algorithm=rsa|ed25519]
//   GET  /v1/dns/check[?domain=]           JSON lines, the relay's own records
//   GET  /v1/check?domain=                 the dry run of a delivery
//
// All of it over the socket or with the token only: it writes files, tells names of users, or makes the relay
// connect to whom the caller names. A password never comes this way: who has one hashes it (`mkpasswd -m
// yescrypt`), so that no buffer of HTTP holds it.
#pragma once

#include <atomic>
#include <string>

#include "config/settings_source.h"
#include "mta/admin_http.h"

namespace holdfast {

class AdminSetup {
 public:
  struct Parts {
    const SettingsSource& settings;
    Executor blocking;
    Log& log;
  };
  explicit AdminSetup(Parts parts) : parts_(std::move(parts)) {}

  static bool is_mine(const std::string& path);
  // Files are read and DNS is awaited on the blocking pool. One dry run or check at a time: the pool is small
  // and logins need it; a second gets 503.
  asio::awaitable<AdminResponse> handle(AdminRequest request);

 private:
  asio::awaitable<AdminResponse> work(AdminRequest request);
  AdminResponse get(const AdminRequest& request);
  AdminResponse post(const AdminRequest& request);
  AdminResponse change_users(const std::string& what, const AdminRequest& request);
  AdminResponse make_key(const AdminRequest& request);
  AdminResponse look_up(const AdminRequest& request);

  Parts parts_;
  std::atomic<bool> looking_ = false;
};

}  // namespace holdfast
