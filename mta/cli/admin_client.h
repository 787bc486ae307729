// mta/cli/admin_client.h — one request to the running relay, over its admin socket. Synchronous.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

using Query = std::vector<std::pair<std::string, std::string>>;
// Without the pairs whose value is "": what the operator may leave out. No value is left out anywhere else,
// so that a filter never gets lost on its way to the relay, which refuses empty ones.
Query given(Query query);

struct AdminAnswer {
  int status = 0;  // of HTTP; 0 = not reachable, and `error` says why
  std::string body;
  std::string error;
  bool permission_denied = false;  // with status 0: the socket is there, but not for us
};

class AdminClient {
 public:
  // With `waiting_for` a bar says so on standard error while an answer takes long; the caller knows whether
  // there may be one (mta/cli/progress.h).
  explicit AdminClient(std::filesystem::path socket, std::string waiting_for = "")
      : socket_(std::move(socket)), waiting_for_(std::move(waiting_for)) {}
  // The same with other words, or with none where the caller draws a bar of its own.
  AdminClient saying(const std::string& waiting_for) const {
    return AdminClient(socket_, waiting_for_.empty() ? "" : waiting_for);
  }
  AdminClient silent() const { return AdminClient(socket_); }
  AdminAnswer get(const std::string& path, const Query& query = {}) const {
    return ask("GET", path, query, nullptr);
  }
  // A good answer's body goes to `sink` as it comes, and not into the result; when `sink` says false, or the
  // answer breaks off, the result is none (status 0).
  using Sink = std::function<bool(std::string_view octets)>;
  AdminAnswer get_to(const std::string& path, const Query& query, const Sink& sink) const;
  AdminAnswer post(const std::string& path, const Query& query = {}) const {
    return ask("POST", path, query, nullptr);
  }

 private:
  AdminAnswer ask(const char* method, const std::string& path, const Query& query, const Sink& sink) const;
  std::filesystem::path socket_;
  std::string waiting_for_;
};

// "/v1/queue?to=a%40b.example"
std::string request_target(const std::string& path, const Query& query);

}  // namespace holdfast
