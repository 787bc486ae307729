// mta/cli/admin_client.h — one request to the running relay, over its admin socket. Synchronous.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

// "" values are left out.
using Query = std::vector<std::pair<std::string, std::string>>;

struct AdminAnswer {
  int status = 0;  // of HTTP; 0 = not reachable, and `error` says why
  std::string body;
  std::string error;
  bool permission_denied = false;  // with status 0: the socket is there, but not for us
};

class AdminClient {
 public:
  explicit AdminClient(std::filesystem::path socket) : socket_(std::move(socket)) {}
  AdminAnswer get(const std::string& path, const Query& query = {}) const { return ask("GET", path, query); }
  AdminAnswer post(const std::string& path, const Query& query = {}) const {
    return ask("POST", path, query);
  }

 private:
  AdminAnswer ask(const char* method, const std::string& path, const Query& query) const;
  std::filesystem::path socket_;
};

// "/v1/queue?to=a%40b.example"
std::string request_target(const std::string& path, const Query& query);

}  // namespace holdfast
