// tests/simulation/web_host.h — an HTTPS server of the world: a policy host, or one that takes reports.
// Real TLS, HTTP/1.1; its faults last until they are taken away.
#pragma once

#include <optional>
#include <string>

#include "tests/simulation/mail_host.h"

namespace holdfast::simulation {

struct WebHost {
  std::string name, ip;
  std::string domain;                // whose policy it serves; "" = it takes reports
  std::optional<PolicyText> policy;  // nothing: 404
  enum class Fault {
    none,
    refuses,
    unreachable,
    wrong_certificate,
    redirect,
    error,
    garbage,
    cut,
    silent,
    hijacked
  };
  Fault fault = Fault::none;
};

class WebSession {
 public:
  WebSession(WebHost& host, Stage& stage, std::unique_ptr<Stream> stream)
      : host_(host), stage_(stage), wire_(std::move(stream)) {}
  asio::awaitable<void> run();

 private:
  asio::awaitable<void> take_report(std::string head);

  WebHost& host_;
  Stage& stage_;
  Wire wire_;
};

}  // namespace holdfast::simulation
