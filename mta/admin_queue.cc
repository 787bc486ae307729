#include "mta/admin_queue.h"

#include <charconv>

#include "mta/admin_json.h"
#include "smtp/base/base_error.h"

namespace holdfast {

namespace {

constexpr std::size_t kPage = 1000;

AdminResponse failure(int status, std::string_view text) {
  AdminResponse response;
  response.status = status;
  response.body = error_json(text) + "\n";
  return response;
}

AdminResponse store_failure(const Error& error) {
  return failure(error.is(StoreError::not_found) ? 404 : 503, error.text());
}

// The states that a filter may name: those of the store, and what `queued` is shown as.
std::optional<RecipientState> stored_state(std::string_view shown) {
  if (shown == "queued" || shown == "deferred" || shown == "active") return RecipientState::queued;
  for (auto state : {RecipientState::held, RecipientState::delivered, RecipientState::bounced,
                     RecipientState::expired, RecipientState::removed, RecipientState::damaged}) {
    if (shown == name(state)) return state;
  }
  return std::nullopt;
}

std::optional<OperatorChange::What> operator_change(std::string_view what) {
  if (what == "retry") return OperatorChange::What::retry;
  if (what == "hold") return OperatorChange::What::hold;
  if (what == "release") return OperatorChange::What::release;
  if (what == "remove") return OperatorChange::What::remove;
  return std::nullopt;
}

std::string value_of(const AdminRequest& request, const std::string& key) {
  const auto found = request.query.find(key);
  return found == request.query.end() ? std::string() : found->second;
}

}  // namespace

std::optional<std::chrono::seconds> parse_age(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() - 1) return std::nullopt;
  switch (*end) {
    case 's': return std::chrono::seconds(number);
    case 'm': return std::chrono::minutes(number);
    case 'h': return std::chrono::hours(number);
    case 'd': return std::chrono::hours(24) * number;
    default: return std::nullopt;
  }
}

Result<QueueFilter> parse_queue_filter(const std::map<std::string, std::string>& query, WallTime now) {
  QueueFilter filter;
  for (const auto& [key, value] : query) {
    if (key == "to") {
      filter.to = value;
    } else if (key == "from") {
      filter.from = value;
    } else if (key == "user") {
      filter.user = value;
    } else if (key == "error") {
      filter.error = value;
    } else if (key == "domain") {
      filter.domain = value;
    } else if (key == "msg") {
      filter.id = QueueId::parse(value);
      if (!filter.id) return Error(BaseError::malformed, "msg: \"" + value + "\" is no queue id");
    } else if (key == "state") {
      filter.state = stored_state(value);
      if (!filter.state)
        return Error(BaseError::malformed, "state: \"" + value +
                                               "\" is none of queued, deferred, active, held, damaged, "
                                               "delivered, bounced, expired, removed");
    } else if (key == "older") {
      const auto age = parse_age(value);
      if (!age) return Error(BaseError::malformed, "older: \"" + value + "\" is no age like 90m, 2h or 3d");
      filter.accepted_before = now - *age;
    } else if (key == "limit") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), filter.limit);
      if (error != std::errc() || end != value.data() + value.size() || filter.limit == 0 ||
          filter.limit > kMaxListedRows) {
        return Error(BaseError::malformed,
                     "limit: \"" + value + "\" is not within 1 to " + std::to_string(kMaxListedRows));
      }
    } else if (key != "dry") {
      // A misspelt filter must not turn into "everything".
      return Error(BaseError::malformed, "unknown filter \"" + key + "\"");
    }
  }
  return filter;
}

asio::awaitable<Result<std::vector<QueueRow>>> AdminQueue::matching(QueueFilter filter, std::string state) {
  std::vector<QueueRow> found;
  const auto wanted = filter.limit;
  filter.limit = kPage;
  while (found.size() < wanted) {
    auto page = co_await store_.list(filter);
    if (!page) co_return page.error();
    for (auto& row : *page) {
      if (found.size() < wanted && (state.empty() || state == shown_state(row))) found.push_back(row);
    }
    if (page->size() < kPage) break;
    filter.after = page->back().recipient;
  }
  co_return found;
}

asio::awaitable<AdminResponse> AdminQueue::list(AdminRequest request) {
  auto filter = parse_queue_filter(request.query, timeline_.now());
  if (!filter) co_return failure(400, filter.error().detail);
  auto rows = co_await matching(*filter, value_of(request, "state"));
  if (!rows) co_return store_failure(rows.error());
  AdminResponse response;
  response.content_type = "application/x-ndjson";
  for (const auto& row : *rows) response.body += queue_row_json(row) + "\n";
  co_return response;
}

asio::awaitable<AdminResponse> AdminQueue::message(std::string id) {
  QueueFilter filter;
  filter.id = QueueId::parse(id);
  if (!filter.id) co_return failure(400, "\"" + id + "\" is no queue id");
  auto rows = co_await store_.list(filter);
  if (!rows) co_return store_failure(rows.error());
  auto history = co_await store_.history(*filter.id);
  if (!history) co_return store_failure(history.error());
  if (rows->empty() && history->empty())
    co_return failure(404, "no message " + id + " is queued or remembered");
  MessageMeta ended;
  ended.id = *filter.id;
  AdminResponse response;
  response.body = message_json(rows->empty() ? ended : *rows->front().meta, *rows, *history) + "\n";
  co_return response;
}

asio::awaitable<AdminResponse> AdminQueue::change(std::string what, AdminRequest request) {
  const auto kind = operator_change(what);
  if (!kind) co_return failure(404, "no such change: " + what);
  auto filter = parse_queue_filter(request.query, timeline_.now());
  if (!filter) co_return failure(400, filter.error().detail);
  if (!request.query.contains("limit")) filter->limit = kMaxListedRows;
  auto rows = co_await matching(*filter, value_of(request, "state"));
  if (!rows) co_return store_failure(rows.error());
  AdminResponse response;
  response.body =
      "{\"schema\":" + std::to_string(kAdminSchema) + ",\"count\":" + std::to_string(rows->size()) + "}\n";
  if (value_of(request, "dry") == "1" || rows->empty()) co_return response;

  Batch batch;
  OperatorChange& change = batch.changes.emplace_back();
  change.what = *kind;
  for (const auto& row : *rows) change.recipients.push_back(row.recipient);
  auto applied = co_await store_.apply(std::move(batch));
  if (!applied) co_return store_failure(applied.error());
  log_.event("admin", Fields().add("change", what).add("recipients", std::uint64_t{rows->size()}));
  work_.look_again();
  co_return response;
}

}  // namespace holdfast
