#include "mta/admin_api.h"

#include <charconv>

#include "mta/admin_answer.h"
#include "mta/admin_json.h"
#include "mta/json_text.h"
#include "mta/test_message.h"
#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"

namespace holdfast {

namespace {

std::string list_json(const std::vector<std::string>& texts) {
  std::string list;
  for (const auto& text : texts) list += (list.empty() ? "" : ",") + json_string(text);
  return "[" + list + "]";
}

std::string destination_json(const DestinationStatus& status) {
  Fields fields;
  fields.add("schema", kAdminSchema).add("name", status.name).add("state", status.state);
  fields.add("concurrency", status.concurrency).add("in_flight", status.in_flight);
  fields.add("ready", std::uint64_t{status.ready}).add("last_reply", status.last_reply);
  fields.add("reason", status.waiting_reason).add("policy", status.policy);
  fields.add("retry_at", status.retry_at ? rfc3339(*status.retry_at) : std::string());
  return "{" + fields.json() + "}";
}

asio::awaitable<ReloadOutcome> reload_now(ServiceControl& service) { co_return service.reload(); }

}  // namespace

std::optional<std::chrono::sys_days> parse_day(std::string_view text, WallTime now) {
  const auto today = std::chrono::floor<std::chrono::days>(now);
  if (text.empty() || text == "today") return today;
  if (text == "yesterday") return today - std::chrono::days(1);
  int year = 0;
  unsigned month = 0, day = 0;
  const auto number = [](std::string_view digits, auto& out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-' || !number(text.substr(0, 4), year) ||
      !number(text.substr(5, 2), month) || !number(text.substr(8, 2), day)) {
    return std::nullopt;
  }
  const auto date = std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

Result<std::optional<DomainName>> policies_to_forget(const AdminRequest& request) {
  if (!request.query.contains("domain")) {
    if (query_value(request, "all") == "1") return std::optional<DomainName>();
    return Error(BaseError::malformed, "say which policy by domain=, or all of them by all=1");
  }
  auto domain = DomainName::parse(query_value(request, "domain"));
  if (!domain) return Error(BaseError::malformed, "domain: " + domain.error().detail);
  if (domain->empty()) return Error(BaseError::malformed, "domain= says which");
  return std::optional<DomainName>(std::move(*domain));
}

AdminApi::AdminApi(Parts parts)
    : parts_(parts),
      hand_(OperatorHand::Parts{parts.store, parts.scheduler, parts.settings, parts.timeline, parts.random,
                                parts.log, parts.signer, parts.observer}),
      queue_(parts.store, hand_, parts.timeline, parts.log),
      setup_(AdminSetup::Parts{parts.settings, parts.blocking, parts.log}) {}

asio::awaitable<AdminResponse> AdminApi::handle(AdminRequest request) {
  if (AdminSetup::is_mine(request.path)) {
    auto setting_up = setup_.handle(std::move(request));
    co_return co_await std::move(setting_up);
  }
  if (request.method == "POST") {
    auto changing = post(std::move(request));
    co_return co_await std::move(changing);
  }
  auto reading = get(std::move(request));
  co_return co_await std::move(reading);
}

asio::awaitable<AdminResponse> AdminApi::get(AdminRequest request) {
  constexpr std::string_view kMessages = "/v1/messages/", kContent = "/content";
  const std::string path = request.path;
  if (path == "/livez" || (path == "/v1/health" && query_value(request, "ready") != "1")) {
    co_return admin_answer(200, "{\"schema\":1,\"live\":true}\n");
  }
  if (path == "/readyz" || path == "/v1/health") co_return co_await ready();
  if (path == "/metrics") {
    std::string text = co_await parts_.service.metrics_text();
    AdminResponse response = admin_answer(200, std::move(text));
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    co_return response;
  }
  if (path == "/v1/status") {
    const std::string status = co_await parts_.service.status_json();
    co_return admin_answer(200, status + "\n");
  }
  if (path == "/v1/queue") co_return co_await queue_.list(std::move(request));
  if (path == "/v1/queue/summary") co_return co_await queue_.summary(std::move(request));
  if (path == "/v1/history") co_return co_await queue_.history(std::move(request));
  if (path.starts_with(kMessages)) {
    std::string id = path.substr(kMessages.size());
    if (!id.ends_with(kContent)) co_return co_await queue_.message(std::move(id));
    id.resize(id.size() - kContent.size());
    co_return co_await queue_.content(std::move(id), request.trusted);
  }
  if (path == "/v1/destinations") co_return co_await destinations();
  if (path == "/v1/sts") co_return co_await policies(query_value(request, "domain"));
  if (path == "/v1/tlsrpt/preview")
    co_return co_await preview(query_value(request, "day"), query_value(request, "domain"));
  if (path == "/v1/tlsrpt/status")
    co_return co_await report_status(query_value(request, "day"), query_value(request, "all"));
  co_return admin_failure(404, "there is no " + path);
}

asio::awaitable<AdminResponse> AdminApi::post(AdminRequest request) {
  constexpr std::string_view kQueue = "/v1/queue/";
  const std::string path = request.path;
  if (path.starts_with(kQueue)) {
    auto changing = queue_.change(path.substr(kQueue.size()), std::move(request));
    co_return co_await std::move(changing);
  }
  if (path == "/v1/reload") co_return co_await reload();
  if (path == "/v1/send-test") co_return co_await send_test(query_value(request, "to"));
  if (path == "/v1/sts/refresh") co_return co_await refresh_policy(query_value(request, "domain"));
  if (path == "/v1/sts/flush") co_return co_await flush_policies(std::move(request));
  if (path == "/v1/tlsrpt/send") co_return co_await send_reports(query_value(request, "day"));
  const std::string name = query_value(request, "name");
  if ((path == "/v1/destinations/pause" || path == "/v1/destinations/resume") && name.empty()) {
    co_return admin_failure(400, "name= says which destination");
  }
  if (path == "/v1/destinations/pause" || path == "/v1/destinations/resume") {
    const bool pausing = path.ends_with("pause");
    parts_.log.event("admin", Fields().add("change", pausing ? "pause" : "resume").add("destination", name));
    if (pausing) {
      co_await parts_.scheduler.pause(name);
    } else {
      co_await parts_.scheduler.resume(name);
    }
    co_return admin_answer(200, "{\"schema\":1,\"count\":1}\n");
  }
  co_return admin_failure(404, "there is no " + path + " to change");
}

asio::awaitable<AdminResponse> AdminApi::ready() {
  const auto reasons = co_await parts_.service.not_ready();
  co_return admin_answer(reasons.empty() ? 200 : 503,
                         "{\"schema\":1,\"not_ready\":" + list_json(reasons) + "}\n");
}

asio::awaitable<AdminResponse> AdminApi::destinations() {
  std::string body;
  const auto all = co_await parts_.scheduler.destinations();
  for (const auto& status : all) body += destination_json(status) + "\n";
  co_return admin_lines(std::move(body));
}

asio::awaitable<AdminResponse> AdminApi::policies(std::string domain) {
  std::string body;
  const auto all = co_await parts_.policies.entries();
  for (const auto& entry : all) {
    if (!domain.empty() && entry.cached.domain.text() != domain) continue;
    body += policy_json(entry.cached, entry.source) + "\n";
  }
  if (body.empty() && !domain.empty())
    co_return admin_failure(404, "no policy of " + domain + " is in force");
  co_return admin_lines(std::move(body));
}

asio::awaitable<AdminResponse> AdminApi::refresh_policy(std::string domain) {
  auto name = DomainName::parse(domain);
  if (!name) co_return admin_failure(400, "domain: " + name.error().detail);
  const auto found = co_await parts_.policies.refresh(*name);
  parts_.log.event("admin", Fields().add("change", "sts refresh").add("domain", name->text()));
  if (found.fetch_failure)
    co_return admin_failure(503, std::string(describe(*found.fetch_failure)) + ": " + found.detail);
  switch (found.state) {
    case StsLookup::State::present: co_return admin_lines(policy_json(*found.cached, "fetched") + "\n");
    case StsLookup::State::absent:
      co_return admin_failure(
          404, name->text() + " has no policy" + (found.detail.empty() ? "" : ": " + found.detail));
    case StsLookup::State::unknown: break;
  }
  co_return admin_failure(503, "DNS could not tell: " + found.detail);
}

asio::awaitable<AdminResponse> AdminApi::flush_policies(AdminRequest request) {
  const auto name = policies_to_forget(request);
  if (!name) co_return admin_failure(400, name.error().detail);
  const auto count = co_await parts_.policies.flush(*name);
  parts_.log.event(
      "admin", Fields().add("change", "sts flush").add("domain", *name ? (*name)->text() : std::string()));
  co_return admin_answer(200, "{\"schema\":1,\"count\":" + std::to_string(count) + "}\n");
}

asio::awaitable<AdminResponse> AdminApi::preview(std::string day, std::string domain) {
  const auto date = parse_day(day, parts_.clock.wall());
  if (!date) co_return admin_failure(400, "day: \"" + day + "\" is neither today nor YYYY-MM-DD");
  DomainName name;
  if (!domain.empty()) {
    auto parsed = DomainName::parse(domain);
    if (!parsed) co_return admin_failure(400, "domain: " + parsed.error().detail);
    name = *parsed;
  }
  const auto settings = parts_.settings.current();
  ReportSender sender;
  sender.organization = settings->tlsrpt.organization;
  sender.contact = settings->tlsrpt.contact;
  sender.node = settings->hostname;
  auto body = co_await preview_reports(parts_.ledger, parts_.resolver, std::move(sender), *date, name);
  if (!body) co_return admin_failure(503, body.error().text());
  co_return admin_lines(std::move(*body));
}

asio::awaitable<AdminResponse> AdminApi::report_status(std::string day, std::string all) {
  std::optional<std::chrono::sys_days> date;
  if (!day.empty()) {
    date = parse_day(day, parts_.clock.wall());
    if (!date) co_return admin_failure(400, "day: \"" + day + "\" is neither today nor YYYY-MM-DD");
  }
  auto body = co_await parts_.reporter.status_json(date, all == "1");
  if (!body) co_return admin_failure(503, body.error().text());
  co_return admin_lines(std::move(*body));
}

asio::awaitable<AdminResponse> AdminApi::send_reports(std::string day) {
  const auto date = parse_day(day, parts_.clock.wall());
  if (day.empty() || !date) co_return admin_failure(400, "day: \"" + day + "\" is no YYYY-MM-DD");
  if (!parts_.settings.current()->tlsrpt.enabled) co_return admin_failure(409, "tlsrpt.enabled is false");
  auto count = co_await parts_.reporter.send(*date);
  if (!count)
    co_return admin_failure(count.error().is(BaseError::not_permitted) ? 400 : 503, count.error().detail);
  parts_.log.event("admin", Fields().add("change", "tlsrpt send").add("day", day));
  co_return admin_answer(200, "{\"schema\":1,\"count\":" + std::to_string(*count) + "}\n");
}

asio::awaitable<AdminResponse> AdminApi::send_test(std::string to) {
  const auto settings = parts_.settings.current();
  auto test = make_test_message(*settings, to, parts_.clock.wall());
  if (!test) co_return admin_failure(400, "to: " + test.error().detail);
  StringBody body(std::move(test->content));
  auto accepting = parts_.sink.accept(std::move(test->envelope), body);
  const auto accepted = co_await std::move(accepting);
  if (!accepted) co_return admin_failure(503, accepted.error().text());
  if (!accepted->id) co_return admin_failure(503, accepted->refusal.summary());
  parts_.log.event("admin", Fields().add("change", "send-test").add("msg", accepted->id->text()));
  co_return admin_answer(200, "{\"schema\":1,\"msg\":\"" + accepted->id->text() + "\"}\n");
}

asio::awaitable<AdminResponse> AdminApi::reload() {
  // Files are read and passwords hashed: not on the executor of the shared services.
  auto job = reload_now(parts_.service);
  const auto outcome = co_await hop(parts_.blocking, std::move(job));
  parts_.log.event("admin",
                   Fields().add("change", "reload").add("errors", std::uint64_t{outcome.errors.size()}));
  co_return admin_answer(outcome.errors.empty() ? 200 : 409,
                         "{\"schema\":1,\"errors\":" + list_json(outcome.errors) +
                             ",\"after_restart\":" + list_json(outcome.after_restart) + "}\n");
}

}  // namespace holdfast
