#include "tests/simulation/web_host.h"

#include <boost/asio/this_coro.hpp>

#include "tlsrpt/received_report.h"

namespace holdfast::simulation {
namespace {

std::string response(const std::string& status, const std::string& type, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

std::string PolicyText::text() const {
  std::string out = "version: STSv1\r\nmode: " + mode + "\r\n";
  for (const auto& pattern : mx) out += "mx: " + pattern + "\r\n";
  return out + "max_age: " + std::to_string(max_age.count()) + "\r\n";
}

asio::awaitable<void> WebSession::run() {
  co_await asio::this_coro::throw_if_cancelled(false);
  using Fault = WebHost::Fault;
  const Fault fault = host_.fault;
  if (fault == Fault::silent) {
    co_await wire_.line();
    co_return;
  }
  const Shown shown = fault == Fault::wrong_certificate ? Shown::wrong_name
                      : fault == Fault::hijacked        ? Shown::untrusted
                                                        : Shown::good;
  const bool up = co_await wire_.accept_tls(identity_of(host_.name, shown).context);
  if (!up) co_return;
  auto head = co_await wire_.until("\r\n\r\n");
  if (!head) co_return;
  if (shown != Shown::good) stage_.seen.fail("invariant 22: asked a host that is not the policy host");
  stage_.trace.add("web", host_.name + " " + head->substr(0, head->find('\r')));
  if (host_.domain.empty()) {
    co_await take_report(std::move(*head));
    co_return;
  }
  std::string answer;
  bool genuine = false;
  if (fault == Fault::redirect) {
    answer = "HTTP/1.1 301 Moved\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n";
  } else if (fault == Fault::error || !host_.policy) {
    answer = response("500 Sorry", "text/plain", "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n");
  } else if (fault == Fault::garbage) {
    answer = response("200 OK", "text/plain", "version: STSv1\r\nmode: perhaps\r\n");
  } else if (fault == Fault::cut) {
    answer = response("200 OK", "text/plain", host_.policy->text());
    answer.resize(answer.size() - 3);
  } else {
    answer = response("200 OK", "text/plain", host_.policy->text());
    genuine = true;
  }
  if (genuine) stage_.seen.served[host_.domain].push_back({stage_.clock.now(), *host_.policy});
  const bool sent = co_await wire_.send(std::move(answer));
  if (genuine) stage_.trace.add("served", host_.domain + " " + host_.policy->mode + (sent ? "" : " in vain"));
}

asio::awaitable<void> WebSession::take_report(std::string head) {
  const auto at = head.find("Content-Length: ");
  const std::size_t size = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
  auto body = co_await wire_.octets(size);
  if (!body) co_return;
  SentReport sent;
  sent.by = "https";
  sent.octets = std::move(*body);
  const bool good = host_.fault == WebHost::Fault::none || host_.fault == WebHost::Fault::cut;
  if (good) {
    sent.in_doubt = host_.fault == WebHost::Fault::cut;
    stage_.seen.reports.push_back(std::move(sent));
  }
  if (host_.fault == WebHost::Fault::cut) co_return;
  std::string answer = response(good ? "201 Created" : "503 Later", "text/plain", "");
  const std::size_t place = stage_.seen.reports.size() - 1;
  const bool answered = co_await wire_.send(std::move(answer));
  if (good && !answered) stage_.seen.reports[place].in_doubt = true;
}

}  // namespace holdfast::simulation
