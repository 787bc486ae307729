// queue/route_table.h — which [[route]] takes a recipient: the first entry in the order of the file that
// matches. Pure.
//
// A route with `recipients` and `senders` asks for both. Recipient patterns are domains: "corp.example",
// "*.corp.example" (any depth below, not the name itself), "*". Sender patterns are the same, with or without
// a leading "@", or a whole address, or "<>" for the null reverse-path, which only "<>" and "*" match.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "smtp/wire/address.h"

namespace holdfast {

class RouteTable {
 public:
  explicit RouteTable(SettingsPtr settings);

  // The route, kept alive with its snapshot; nullptr: by the MX of the domain.
  std::shared_ptr<const RouteSettings> find(std::string_view domain, const Mailbox& reverse_path) const;
  // Does a sender decide about some route that could take this domain? If not, any sender gives the same
  // answer.
  bool depends_on_sender(std::string_view domain) const;
  const SettingsPtr& settings() const { return settings_; }

 private:
  struct Entry {
    std::vector<std::string> recipients;
    std::vector<std::string> senders;
    std::shared_ptr<const RouteSettings> route;
  };
  SettingsPtr settings_;
  std::vector<Entry> entries_;
};

// "mx.corp.example:25, tls://backup.example:465": how operators see a route.
std::string route_name(const RouteSettings& route);
// Tells two routes apart that lead to the same hosts on other terms; holds no secret.
std::string route_key(const RouteSettings& route);

bool domain_pattern_matches(std::string_view pattern, std::string_view domain);

}  // namespace holdfast
