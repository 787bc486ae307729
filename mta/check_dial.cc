#include "mta/check_dial.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast {
namespace {

constexpr Duration kConnectLimit = std::chrono::seconds(10);

ClientTimeouts impatient() {
  ClientTimeouts limits;
  limits.greeting = std::chrono::seconds(20);
  limits.ehlo = std::chrono::seconds(15);
  limits.starttls = std::chrono::seconds(15);
  limits.quit = std::chrono::seconds(2);
  return limits;
}

OpenRequest request_for(const Dial& dial, const MxPlan& plan, const IpBytes& ip) {
  OpenRequest request;
  request.key.mx = plan.mx.name.text();
  request.key.ip = ip;
  request.key.port = dial.hop.port;
  request.key.implicit_tls = dial.hop.implicit_tls;
  request.key.server_name = plan.requirement.server_name.text();
  if (dial.route) {
    request.operators_word = true;
    request.username = dial.route->username;
    request.password = dial.route->password;
  }
  request.our_name = dial.settings->hostname;
  for (const SourceSettings& source : dial.settings->sources) {
    const auto from = parse_ip(source.address);
    if (request.source || !from || is_ipv6(*from) != is_ipv6(ip)) continue;
    request.source = from;
    if (!source.hostname.empty()) request.our_name = source.hostname;
  }
  request.requirement = plan.requirement;
  // Where nothing asks for the certificate it is looked at all the same; what is watched fails nothing.
  if (!request.requirement.pkix && !request.requirement.watch_pkix && !plan.mx.name.empty())
    request.requirement.watch_pkix = PkixRequirement{plan.mx.name};
  request.contexts = dial.contexts;
  request.connect_limit = kConnectLimit;
  request.timeouts = impatient();
  return request;
}

// One attempt; keeps the session's extensions and says QUIT.
asio::awaitable<OpenResult> attempt(std::shared_ptr<Dial> dial, OpenRequest request,
                                    std::optional<Extensions>& extensions) {
  OpenResult opened = co_await open_connection(dial->connector, dial->clock, std::move(request));
  if (opened.connection) {
    extensions = opened.connection->session->extensions();
    co_await opened.connection->session->quit();
  }
  co_return opened;
}

Verdict why_not(const MxPlan& plan, const OpenResult& opened, const IpBytes& ip) {
  Verdict v;
  if (opened.refused) {
    v = refused_session(*opened.refused, opened.stage);
  } else if (opened.broken) {
    v = broken_session(*opened.broken, opened.stage);
  } else {
    const TlsClass plain;
    v = tls_refused(opened.tls_failure, plan, plain);
  }
  v.mx = plan.mx.name.text();
  v.ip = ip_text(ip);
  return v;
}

asio::awaitable<void> dial_address(std::shared_ptr<Dial> dial, std::size_t mx_index, std::size_t index) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const MxPlan& plan = dial->mx[mx_index].plan;
  CheckedAddress& out = dial->mx[mx_index].addresses[index];
  OpenRequest request = request_for(*dial, plan, out.ip);
  OpenRequest first = request;
  out.opened = co_await attempt(dial, std::move(first), out.extensions);
  out.reached = out.opened.connection != nullptr;
  out.opened.connection.reset();
  if (!out.reached && out.opened.tls_failure && plan.requirement.cleartext_allowed) {
    // As a delivery does: once more in clear on a new connection, where the planner allows it.
    request.in_clear = true;
    out.fell_back = true;
    OpenResult again = co_await attempt(dial, std::move(request), out.extensions);
    out.reached = again.connection != nullptr;
    if (!out.reached) {
      out.verdict = why_not(plan, again, out.ip);
      out.clear_problem = out.verdict.text;
    }
    co_return;
  }
  if (!out.reached) out.verdict = why_not(plan, out.opened, out.ip);
}

}  // namespace

asio::awaitable<void> dial_all(std::shared_ptr<Dial> dial) {
  const auto executor = co_await asio::this_coro::executor;
  using Job = decltype(asio::co_spawn(executor, dial_address(dial, 0, 0), asio::deferred));
  std::vector<Job> jobs;
  for (std::size_t m = 0; m < dial->mx.size(); ++m) {
    if (!dial->mx[m].plan.usable) continue;
    for (std::size_t a = 0; a < dial->mx[m].addresses.size(); ++a)
      jobs.push_back(asio::co_spawn(executor, dial_address(dial, m, a), asio::deferred));
  }
  if (jobs.empty()) co_return;
  auto group = asio::experimental::make_parallel_group(std::move(jobs));
  const auto wait_for_all = asio::experimental::wait_for_all();
  const auto [order, exceptions] = co_await group.async_wait(wait_for_all, asio::use_awaitable);
  for (const std::exception_ptr& exception : exceptions)
    if (exception) std::rethrow_exception(exception);
}

}  // namespace holdfast
