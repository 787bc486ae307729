// mta/admin_api.h — what the admin interface can be asked; the command line is one of its clients.
//
//   GET  /livez /readyz                  for orchestrators: 200, or 503 with the reasons
//   GET  /metrics                        Prometheus text
//   GET  /v1/status  /v1/health[?ready=1]
//   GET  /v1/queue?FILTERS               JSON lines, one per recipient
//   GET  /v1/queue/summary?by=&FILTERS   JSON lines, one per domain, state, age, error, sender or user
//   GET  /v1/history?FILTERS             as the queue, newest first, and what has ended too
//   GET  /v1/messages/ID                 one message with its envelope and history
//   GET  /v1/messages/ID/content         its octets; over the socket or with the token only
//   POST /v1/queue/{retry,hold,release,remove,bounce}?FILTERS[&dry=1][&reason=]     {"count":n}
//     FILTERS: to= from= error= (a part, case ignored), user= domain= msg= state= (the whole), older= newer=
//     (90m, 2h, 3d) limit=; each at most once and with a value. A change without any needs all=1
//   POST /v1/send-test?to=               {"msg":id}
//   GET  /v1/destinations                JSON lines
//   POST /v1/destinations/{pause,resume}?name=
//   GET  /v1/sts[?domain=]               JSON lines, the policies in force
//   POST /v1/sts/refresh?domain=         looks and fetches at once
//   POST /v1/sts/flush?domain= or all=1  forgets
//   GET  /v1/tlsrpt/preview?day=&domain= JSON lines, the reports of the day as they stand
//   GET  /v1/tlsrpt/status?day=&all=     JSON lines: the signing key, suppressed addresses, reports
//   POST /v1/tlsrpt/send?day=            the day's reports leave now: {"count":n}
//   POST /v1/reload                      {errors, after_restart}: 200, or 409 with what is wrong;
//     after_restart names the keys that were changed, but hold after a restart only
//   /v1/config /v1/users /v1/dkim /v1/dns /v1/check      see admin_setup.h
//
// Runs on the shared executor; everything it names outlives it.
#pragma once

#include <string>
#include <vector>

#include "config/settings_source.h"
#include "mta/admin_http.h"
#include "mta/admin_queue.h"
#include "mta/admin_setup.h"
#include "queue/scheduler.h"
#include "sts/policy_service.h"
#include "tlsrpt/preview.h"
#include "tlsrpt/reporter.h"

namespace holdfast {

struct ReloadOutcome {
  std::vector<std::string> errors;         // what is wrong; nothing has changed then
  std::vector<std::string> after_restart;  // keys that were changed, but hold after a restart only
};

// What only the relay as a whole can answer.
class ServiceControl {
 public:
  virtual ~ServiceControl() = default;
  // Why the relay is not ready; empty when it is. Asks the store, the resolver and the listeners.
  virtual asio::awaitable<std::vector<std::string>> not_ready() = 0;
  // Loads the configuration again.
  virtual ReloadOutcome reload() = 0;
  virtual asio::awaitable<std::string> metrics_text() = 0;
  virtual asio::awaitable<std::string> status_json() = 0;
};

class AdminApi {
 public:
  struct Parts {
    ServiceControl& service;
    Store& store;
    Scheduler& scheduler;
    PolicyService& policies;
    DurableLedger& ledger;
    Reporter& reporter;
    Resolver& resolver;  // of the shared executor
    const SettingsSource& settings;
    Clock& clock;
    const Timeline& timeline;
    Executor blocking;
    Log& log;
    MessageSink& sink;  // of what the operator injects
    Random& random;
    MessageSigner* signer = nullptr;     // of notifications
    OriginObserver* observer = nullptr;  // told of what the operator ends
  };
  explicit AdminApi(Parts parts);

  asio::awaitable<AdminResponse> handle(AdminRequest request);

 private:
  asio::awaitable<AdminResponse> get(AdminRequest request);
  asio::awaitable<AdminResponse> post(AdminRequest request);
  asio::awaitable<AdminResponse> ready();
  asio::awaitable<AdminResponse> destinations();
  asio::awaitable<AdminResponse> policies(std::string domain);
  asio::awaitable<AdminResponse> refresh_policy(std::string domain);
  asio::awaitable<AdminResponse> flush_policies(AdminRequest request);
  asio::awaitable<AdminResponse> preview(std::string day, std::string domain);
  asio::awaitable<AdminResponse> report_status(std::string day, std::string all);
  asio::awaitable<AdminResponse> send_reports(std::string day);
  asio::awaitable<AdminResponse> reload();
  asio::awaitable<AdminResponse> send_test(std::string to);

  Parts parts_;
  OperatorHand hand_;
  AdminQueue queue_;
  AdminSetup setup_;
};

// "today", "yesterday" or "2026-11-21"; UTC.
std::optional<std::chrono::sys_days> parse_day(std::string_view text, WallTime now);
// Of /v1/sts/flush: one domain, or nullopt when all of them were asked for in so many words.
Result<std::optional<DomainName>> policies_to_forget(const AdminRequest& request);

}  // namespace holdfast
