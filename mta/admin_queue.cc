#include "mta/admin_queue.h"

#include <charconv>
#include <limits>

#include "mta/admin_answer.h"
#include "mta/admin_json.h"
#include "smtp/base/base_error.h"
#include "smtp/base/domain_name.h"

namespace holdfast {

namespace {

constexpr std::uint64_t kHistoryRows = 100;  // unless the request says otherwise

AdminResponse store_failure(const Error& error) {
  return admin_failure(error.is(StoreError::not_found) ? 404 : 503, error.text());
}

std::optional<OperatorChange::What> operator_change(std::string_view what) {
  if (what == "retry") return OperatorChange::What::retry;
  if (what == "hold") return OperatorChange::What::hold;
  if (what == "release") return OperatorChange::What::release;
  if (what == "remove") return OperatorChange::What::remove;
  if (what == "bounce") return OperatorChange::What::bounce;
  return std::nullopt;
}

// One JSON line per row, a page at a time.
class RowLines final : public BodySource {
 public:
  RowLines(Store& store, QueueQuestion question)
      : walk_(store, std::move(question.filter), std::move(question.shown), question.limit) {}

  asio::awaitable<Result<std::string_view>> next() override {
    auto rows = co_await walk_.next();
    if (!rows) co_return rows.error();
    text_.clear();
    for (const auto& row : *rows) text_ += queue_row_json(row) + "\n";
    co_return std::string_view(text_);
  }

 private:
  QueueWalk walk_;
  std::string text_;
};

AdminResponse row_lines(Store& store, QueueQuestion question) {
  AdminResponse response;
  response.content_type = "application/x-ndjson";
  response.stream = std::make_shared<RowLines>(store, std::move(question));
  return response;
}

// Takes what only the one kind of request knows out of its query.
std::string take(AdminRequest& request, const std::string& key) {
  const std::string value = query_value(request, key);
  request.query.erase(key);
  return value;
}

// As take(), of a switch. nullopt: it has another value than 1, which could mean either.
std::optional<bool> take_switch(AdminRequest& request, const std::string& key) {
  const bool given = request.query.contains(key);
  const std::string value = take(request, key);
  if (given && value != "1") return std::nullopt;
  return given;
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

Result<QueueQuestion> parse_queue_filter(const std::map<std::string, std::string>& query, WallTime now) {
  QueueQuestion question;
  QueueFilter& filter = question.filter;
  for (const auto& [key, value] : query) {
    // An unset variable of a script must not turn into "everything".
    if (value.empty()) return Error(BaseError::malformed, key + ": a filter has a value, or is left out");
    if (key == "to") {
      filter.to = value;
    } else if (key == "from") {
      filter.from = value;
    } else if (key == "user") {
      filter.user = value;
    } else if (key == "error") {
      filter.error = value;
    } else if (key == "domain") {
      const auto domain = DomainName::parse(value);
      // Address literals are domains of recipients too.
      if (!domain && !value.starts_with('['))
        return Error(BaseError::malformed, "domain: " + domain.error().detail);
      filter.domain = domain ? domain->text() : value;
    } else if (key == "msg") {
      filter.id = QueueId::parse(value);
      if (!filter.id) return Error(BaseError::malformed, "msg: \"" + value + "\" is no queue id");
    } else if (key == "state") {
      filter.state = stored_state(value);
      if (!filter.state)
        return Error(BaseError::malformed, "state: \"" + value +
                                               "\" is none of queued, deferred, active, held, damaged, "
                                               "delivered, bounced, expired, removed");
      question.shown = value;
    } else if (key == "older" || key == "newer") {
      const auto age = parse_age(value);
      if (!age) return Error(BaseError::malformed, key + ": \"" + value + "\" is no age like 90m, 2h or 3d");
      (key == "older" ? filter.accepted_before : filter.accepted_since) = now - *age;
    } else if (key == "limit") {
      std::uint64_t limit = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), limit);
      if (error != std::errc() || end != value.data() + value.size() || limit == 0)
        return Error(BaseError::malformed, "limit: \"" + value + "\" is no number above 0");
      question.limit = limit;
    } else {
      // A misspelt filter must not turn into "everything".
      return Error(BaseError::malformed, "unknown filter \"" + key + "\"");
    }
  }
  return question;
}

asio::awaitable<AdminResponse> AdminQueue::list(AdminRequest request) {
  auto question = parse_queue_filter(request.query, timeline_.now());
  if (!question) co_return admin_failure(400, question.error().detail);
  co_return row_lines(store_, std::move(*question));
}

asio::awaitable<AdminResponse> AdminQueue::history(AdminRequest request) {
  auto question = parse_queue_filter(request.query, timeline_.now());
  if (!question) co_return admin_failure(400, question.error().detail);
  question->filter.remembered = !question->filter.state;
  question->filter.newest_first = true;
  if (!question->limit) question->limit = kHistoryRows;
  co_return row_lines(store_, std::move(*question));
}

asio::awaitable<AdminResponse> AdminQueue::summary(AdminRequest request) {
  std::string by = take(request, "by");
  if (by.empty()) by = "domain";
  const auto kind = summary_by(by);
  if (!kind)
    co_return admin_failure(400, "by: \"" + by + "\" is none of domain, state, age, error, sender, user");
  auto question = parse_queue_filter(request.query, timeline_.now());
  if (!question) co_return admin_failure(400, question.error().detail);
  QueueSummary summary(*kind, timeline_.now());
  QueueWalk walk(store_, std::move(question->filter), std::move(question->shown), question->limit);
  while (true) {
    const auto rows = co_await walk.next();
    if (!rows) co_return store_failure(rows.error());
    if (rows->empty()) break;
    for (const auto& row : *rows) summary.add(row);
  }
  AdminResponse response;
  response.content_type = "application/x-ndjson";
  for (const auto& line : summary.lines()) response.body += summary_json(line, by) + "\n";
  co_return response;
}

asio::awaitable<AdminResponse> AdminQueue::message(std::string id) {
  const auto queue_id = QueueId::parse(id);
  if (!queue_id) co_return admin_failure(400, "\"" + id + "\" is no queue id");
  const auto story = co_await find_message(store_, *queue_id);
  if (!story) co_return store_failure(story.error());
  if (!*story) co_return admin_failure(404, "no message " + id + " is queued or remembered");
  AdminResponse response;
  response.body = message_json(**story) + "\n";
  co_return response;
}

asio::awaitable<AdminResponse> AdminQueue::content(std::string id, bool trusted) {
  if (!trusted)
    co_return admin_failure(403, "the content of messages is given over the socket or for the token");
  const auto queue_id = QueueId::parse(id);
  if (!queue_id) co_return admin_failure(400, "\"" + id + "\" is no queue id");
  auto body = co_await store_.open_body(*queue_id);
  if (!body) co_return store_failure(body.error());
  log_.event("admin", Fields().add("change", "read content").add("msg", queue_id->text()));
  AdminResponse response;
  response.content_type = "message/rfc822";
  response.stream_size = (*body)->size();
  response.stream = std::move(*body);
  co_return response;
}

asio::awaitable<AdminResponse> AdminQueue::change(std::string what, AdminRequest request) {
  const auto kind = operator_change(what);
  if (!kind) co_return admin_failure(404, "no such change: " + what);
  const bool bounce = *kind == OperatorChange::What::bounce;
  const auto dry = take_switch(request, "dry"), all = take_switch(request, "all");
  if (!dry || !all) co_return admin_failure(400, "dry= and all= are switches: write 1, or leave them out");
  const std::string reason = bounce ? take(request, "reason") : "";
  // A filter that was lost on its way here must not become a change of everything.
  if (request.query.empty() && !*all)
    co_return admin_failure(400, "say which recipients by a filter, or all of them by all=1");
  auto question = parse_queue_filter(request.query, timeline_.now());
  if (!question) co_return admin_failure(400, question.error().detail);
  // The limit is of what is changed, not of what is looked at.
  std::uint64_t left = question->limit.value_or(std::numeric_limits<std::uint64_t>::max());
  QueueWalk walk(store_, std::move(question->filter), std::move(question->shown), std::nullopt);
  ChangeCount count;
  while (left > 0) {
    auto rows = co_await walk.next();
    if (!rows) co_return store_failure(rows.error());
    if (rows->empty()) break;
    auto concerned = OperatorHand::concerned(*kind, std::move(*rows));
    if (concerned.size() > left) concerned.resize(static_cast<std::size_t>(left));
    left -= concerned.size();
    if (*dry) {
      for (const auto& row : concerned) ++(bounce && row.in_hand ? count.active : count.changed);
      continue;
    }
    auto changing = hand_.apply(*kind, std::move(concerned), reason);
    const auto changed = co_await std::move(changing);
    if (!changed) co_return store_failure(changed.error());
    count.changed += changed->changed;
    count.active += changed->active;
  }
  if (!*dry && count.changed > 0)
    log_.event("admin", Fields().add("change", what).add("recipients", count.changed));
  AdminResponse response;
  response.body =
      "{\"schema\":" + std::to_string(kAdminSchema) + ",\"count\":" + std::to_string(count.changed);
  if (bounce) response.body += ",\"active\":" + std::to_string(count.active);
  response.body += "}\n";
  co_return response;
}

}  // namespace holdfast
