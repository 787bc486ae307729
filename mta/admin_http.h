// mta/admin_http.h — the HTTP/1.1 endpoint of the admin interface, on a unix socket and on TCP.
//
// Who may ask, and who has a place, is admin_door.h's; what is asked, admin_api.h's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "config/settings.h"
#include "smtp/base/asio.h"
#include "smtp/base/body_source.h"
#include "smtp/base/clock.h"
#include "smtp/base/log.h"
#include "smtp/base/result.h"

namespace holdfast {

struct AdminRequest {
  std::string method;                        // "GET", "POST"
  std::string path;                          // decoded, without query
  std::map<std::string, std::string> query;  // decoded
  std::string body;                          // at most kMaxAdminBody octets
  bool trusted = false;  // came over the unix socket or with the token: may see the content of messages
};

struct AdminResponse {
  int status = 200;
  std::string content_type = "application/json";
  // Content-Security-Policy. The API's answers are for programs: a browser shall do nothing with them.
  std::string content_policy =
      "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
  bool asks_for_password = false;  // with status 401: a browser asks its user
  std::string body;
  // Instead of `body`: pulled as fast as the client reads. When it fails the connection breaks off, so that
  // half an answer cannot be taken for a whole one.
  std::shared_ptr<BodySource> stream;
  std::optional<std::uint64_t> stream_size;  // octets, where they are known beforehand
};

inline constexpr std::size_t kMaxAdminBody = 64 * 1024;

using AdminHandler = std::function<asio::awaitable<AdminResponse>(AdminRequest)>;

// Lives on one executor; the handler is called there. Call stop() on the executor and await it before
// destruction.
class AdminHttp {
 public:
  AdminHttp(Executor executor, Clock& clock, Log& log, AdminHandler handler);
  ~AdminHttp();
  AdminHttp(const AdminHttp&) = delete;
  AdminHttp& operator=(const AdminHttp&) = delete;

  // A stale socket of a relay that died is replaced; one that answers is an error (another relay runs).
  Result<void> listen_unix(const std::filesystem::path& path);
  // The port bound is told in the log; port 0 lets the system pick.
  Result<void> listen_tcp(const HostPort& bind, std::string token);
  // A reload: another token on TCP, from the next request on. Any thread.
  void use_token(const std::string& token);
  asio::awaitable<void> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Splits and decodes "/v1/queue?to=a%40b". False when an escape is malformed or a key comes twice. Pure.
bool parse_target(std::string_view target, AdminRequest& request);

}  // namespace holdfast
