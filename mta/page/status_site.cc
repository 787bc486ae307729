#include "mta/page/status_site.h"

#include <algorithm>
#include <unordered_map>

namespace holdfast {

namespace {

constexpr std::size_t kPage = 1000;
constexpr std::size_t kLongestTerm = 320;  // an address at its longest: RFC 5321 section 4.5.3.1

AdminResponse page(std::string html, int status = 200) {
  AdminResponse response;
  response.status = status;
  response.content_type = "text/html; charset=utf-8";
  response.content_policy = page_content_policy();
  response.body = std::move(html);
  return response;
}

std::string trimmed(std::string_view text) {
  constexpr const char* kBlank = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kBlank) - begin + 1));
}

std::string domain_of(const QueueRow& row) {
  const auto at = row.to.rfind('@');
  return at == std::string::npos ? row.to : row.to.substr(at + 1);
}

std::size_t age_class(WallTime accepted, WallTime now) {
  const auto age = std::chrono::floor<std::chrono::seconds>(now - accepted).count();
  const auto& bounds = QueueAges::kBounds;
  return static_cast<std::size_t>(std::upper_bound(bounds.begin(), bounds.end(), age) - bounds.begin());
}

}  // namespace

void add_waiting(StatusView& view, const std::vector<QueueRow>& oldest,
                 const std::vector<DestinationStatus>& destinations, WallTime now) {
  std::unordered_map<std::string, WaitingDestination> waiting;
  for (const auto& row : oldest) {
    auto& age = view.ages.rows[age_class(row.meta->accepted, now)];
    if (row.state == RecipientState::held) ++age.held;
    if (row.state != RecipientState::queued) continue;
    ++age.waiting;
    if (row.attempts == 0 && row.reason.empty()) continue;  // its first attempt is to come
    auto& one = waiting[domain_of(row)];
    if (one.name.empty()) {
      one.name = domain_of(row);
      one.state = "deferred";
      one.oldest = row.meta->accepted;
    }
    ++one.recipients;
    one.why = row.reason;
    one.policy = one.policy || row.policy;
    if (!one.retry_at || row.next_attempt < *one.retry_at) one.retry_at = row.next_attempt;
  }
  for (const auto& status : destinations) {
    if (status.waiting_reason.empty()) continue;
    auto& one = waiting[status.name];
    one.name = status.name;
    one.state = status.state;
    one.why = status.waiting_reason;
    one.policy = status.policy;
    one.recipients = std::max<std::uint64_t>(one.recipients, status.ready);
    if (status.retry_at) one.retry_at = status.retry_at;
  }
  view.waiting_in_all = waiting.size();
  for (auto& [name, one] : waiting) view.waiting.push_back(std::move(one));
  std::sort(view.waiting.begin(), view.waiting.end(), [](const auto& a, const auto& b) {
    return a.recipients != b.recipients ? a.recipients > b.recipients : a.name < b.name;
  });
  if (view.waiting.size() > kMostWaitingShown) view.waiting.resize(kMostWaitingShown);
}

asio::awaitable<AdminResponse> StatusSite::answer(AdminRequest request) {
  constexpr std::string_view kMessage = "/message/";
  if (request.path.starts_with(kMessage)) {
    const auto id = QueueId::parse(std::string_view(request.path).substr(kMessage.size()));
    if (id) co_return co_await message(*id);
    SearchView view;
    view.hostname = parts_.settings.current()->hostname;
    view.term = request.path.substr(kMessage.size());
    view.now = parts_.timeline.now();
    view.error = "This is no queue id.";
    co_return page(search_html(view), 404);
  }
  const auto found = request.query.find("q");
  std::string term = found == request.query.end() ? "" : trimmed(found->second);
  if (term.empty()) co_return co_await status();
  if (const auto id = QueueId::parse(term)) co_return co_await message(*id);
  co_return co_await search(std::move(term));
}

asio::awaitable<AdminResponse> StatusSite::status() {
  StatusView view;
  view.relay = parts_.relay.facts();
  co_await add_queue(view);
  co_await add_policies(view);
  co_await add_reports(view);
  co_return page(status_html(view));
}

asio::awaitable<void> StatusSite::add_queue(StatusView& view) {
  auto stats = co_await parts_.store.stats();
  if (stats) {
    view.stats = std::move(*stats);
  } else {
    view.errors.push_back("the queue cannot be read: " + stats.error().text());
  }
  std::vector<QueueRow> oldest;
  while (oldest.size() < kLookedAt) {
    QueueFilter filter;
    filter.limit = kPage;
    if (!oldest.empty()) filter.after = oldest.back().recipient;
    auto rows = co_await parts_.store.list(std::move(filter));
    if (!rows) {
      view.errors.push_back("the queue cannot be listed: " + rows.error().text());
      break;
    }
    const bool last = rows->size() < kPage;
    for (auto& row : *rows) oldest.push_back(std::move(row));
    if (last) break;
  }
  if (view.stats) {
    const std::uint64_t all = view.stats->recipients_queued + view.stats->recipients_deferred +
                              view.stats->recipients_held + view.stats->damaged;
    if (oldest.size() >= kLookedAt && all > oldest.size()) view.ages.not_looked_at = all - oldest.size();
  }
  const auto destinations = co_await parts_.scheduler.destinations();
  add_waiting(view, oldest, destinations, parts_.timeline.now());
}

asio::awaitable<void> StatusSite::add_policies(StatusView& view) {
  view.policies = co_await parts_.policies.entries();
  view.policies_in_all = view.policies.size();
  for (const auto& entry : view.policies) ++view.policy_modes[name(entry.cached.policy.mode)];
  std::stable_sort(view.policies.begin(), view.policies.end(),
                   [](const auto& a, const auto& b) { return !a.failure.empty() && b.failure.empty(); });
  if (view.policies.size() > kMostPoliciesShown) view.policies.resize(kMostPoliciesShown);
}

asio::awaitable<void> StatusSite::add_reports(StatusView& view) {
  view.report_day = std::chrono::floor<std::chrono::days>(view.relay.now) - std::chrono::days(1);
  auto reports = co_await parts_.reporter.reports(view.report_day, kMostReportsShown);
  if (reports) {
    view.reports = std::move(*reports);
  } else {
    view.errors.push_back("the reports cannot be read: " + reports.error().text());
  }
}

asio::awaitable<Result<void>> StatusSite::find_message_id(SearchView& view) {
  QueueFilter filter;
  filter.remembered = true;
  filter.newest_first = true;
  filter.limit = kPage;
  for (std::size_t looked = 0; looked < kMessageIdsLookedAt; looked += kPage) {
    auto rows = co_await parts_.store.list(filter);
    if (!rows) co_return rows.error();
    for (auto& row : *rows) {
      filter.after = row.recipient;
      if (row.meta->message_id.find(view.term) == std::string::npos) continue;
      view.rows.push_back(std::move(row));
      if (view.rows.size() == kMostFound) {
        view.more = true;
        co_return Result<void>();
      }
    }
    if (rows->size() < kPage) co_return Result<void>();
  }
  view.limited = true;
  co_return Result<void>();
}

// Sender, recipient and Message-ID are asked for in turn: whichever the term is, it is found.
asio::awaitable<AdminResponse> StatusSite::search(std::string term) {
  SearchView view;
  view.hostname = parts_.settings.current()->hostname;
  view.term = term;
  view.now = parts_.timeline.now();
  if (term.size() > kLongestTerm) {
    view.error = "Nothing that long can be looked for.";
    co_return page(search_html(view), 400);
  }
  std::vector<RecipientId> known;
  for (std::string QueueFilter::*field : {&QueueFilter::to, &QueueFilter::from}) {
    QueueFilter filter;
    filter.*field = term;
    filter.remembered = true;
    filter.newest_first = true;
    filter.limit = kMostFound;
    auto rows = co_await parts_.store.list(std::move(filter));
    if (!rows) {
      view.error = "The queue cannot be read: " + rows.error().text();
      co_return page(search_html(view), 503);
    }
    view.more = view.more || rows->size() == kMostFound;
    for (auto& row : *rows) {
      if (std::find(known.begin(), known.end(), row.recipient) != known.end()) continue;
      known.push_back(row.recipient);
      view.rows.push_back(std::move(row));
    }
  }
  if (view.rows.empty()) {
    auto looked = co_await find_message_id(view);
    if (!looked) {
      view.error = "The queue cannot be read: " + looked.error().text();
      co_return page(search_html(view), 503);
    }
  }
  std::sort(view.rows.begin(), view.rows.end(),
            [](const auto& a, const auto& b) { return a.recipient > b.recipient; });
  co_return page(search_html(view));
}

asio::awaitable<AdminResponse> StatusSite::message(QueueId id) {
  MessageView view;
  view.hostname = parts_.settings.current()->hostname;
  view.id = id;
  view.now = parts_.timeline.now();
  QueueFilter filter;
  filter.id = id;
  filter.remembered = true;
  auto rows = co_await parts_.store.list(std::move(filter));
  auto history = co_await parts_.store.history(id);
  int status = 200;
  if (!rows || !history) {
    view.error = "The queue cannot be read: " + (rows ? history.error() : rows.error()).text();
    status = 503;
  } else {
    view.rows = std::move(*rows);
    view.history = std::move(*history);
    if (!view.rows.empty()) view.meta = *view.rows.front().meta;
    if (view.rows.empty() && view.history.empty()) {
      view.error = "No message with this id is queued or remembered.";
      status = 404;
    }
  }
  co_return page(message_html(view), status);
}

}  // namespace holdfast
