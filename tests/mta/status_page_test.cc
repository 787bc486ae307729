#include "mta/page/status_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>

#include "mta/page/status_site.h"
#include "smtp/base/random.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 3 / 14) + 12h;
constexpr const char* kScript = "<script>alert(1)</script>";
constexpr const char* kReversed = "evil\u202Emoc.knab";

QueueRow row(const std::string& to, WallTime accepted, const std::string& reason) {
  static const auto random = make_system_random();
  auto meta = std::make_shared<MessageMeta>();
  meta->id = QueueId::make(accepted, *random);
  meta->accepted = accepted;
  meta->expires = accepted + 5 * 24h;
  QueueRow out;
  out.meta = std::move(meta);
  out.to = to;
  out.reason = reason;
  out.attempts = reason.empty() ? 0 : 2;
  out.next_attempt = kNow + 10min;
  return out;
}

StatusView simple() {
  StatusView view;
  view.relay.hostname = "relay.test";
  view.relay.version = "1.2.3";
  view.relay.now = kNow;
  view.relay.started = kNow - 3h;
  view.stats = StoreStats();
  return view;
}

// No tag, attribute or reference of the page may come from elsewhere.
void expect_harmless(const std::string& html) {
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("\u202E")));
  EXPECT_THAT(html, Not(HasSubstr("onload=\"")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  for (const char* outside : {"http://", "src=", "url(", "@import", "javascript:", " style="})
    EXPECT_THAT(html, Not(HasSubstr(outside))) << outside;
}

TEST(StatusPage, SaysThatTheRelayIsReadyOrWhyNot) {
  auto view = simple();
  EXPECT_THAT(status_html(view), HasSubstr(">ready</span> relay.test"));
  view.relay.not_ready = {"the resolver does not answer"};
  EXPECT_THAT(status_html(view), HasSubstr(">not ready</span> relay.test"));
  EXPECT_THAT(status_html(view), HasSubstr("the resolver does not answer"));
}

TEST(StatusPage, ShowsHostileNamesHarmlessly) {
  auto view = simple();
  const std::string label(255, 'x');
  for (const auto& hostile : {std::string(kScript), std::string(kReversed), label + ".test",
                              std::string("\"><img onload=\"alert(1)\">"), std::string("\xff\xfe\x01")}) {
    view.relay.hostname = view.relay.version = hostile;
    view.relay.not_ready.push_back(hostile);
    view.relay.listeners.push_back({hostile, 1});
    view.relay.tls.push_back({hostile, hostile, 7});
    view.errors.push_back(hostile);
    WaitingDestination waiting;
    waiting.name = waiting.state = waiting.why = hostile;
    view.waiting.push_back(waiting);
    PolicyEntry entry;
    entry.cached.policy.mx = {hostile};
    entry.failure = hostile;
    view.policies.push_back(entry);
    view.policies_in_all = view.policies.size();
    view.policy_modes[hostile] = 1;
    ReportProgress report;
    report.reason = hostile;
    view.reports.push_back(report);
    TargetProgress target;
    target.target.address = target.reason = hostile;
    report.targets.push_back(target);
    view.reports.push_back(report);
  }
  const auto html = status_html(view);
  expect_harmless(html);
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(html, HasSubstr("evil[U+202E]moc.knab"));
  EXPECT_THAT(html, HasSubstr(label));
}

TEST(StatusPage, ShowsAHostileMessageHarmlessly) {
  MessageView view;
  view.hostname = kScript;
  view.now = kNow;
  view.error = kScript;
  view.meta = MessageMeta();
  view.meta->user = view.meta->origin = view.meta->message_id = kScript;
  view.rows.push_back(row(std::string("\"") + kScript + "\"@a.test", kNow - 1h, kReversed));
  HistoryEntry entry;
  entry.event = kScript;
  entry.detail = R"({"reply":"<script>alert(1)</script>","tls":{"<script>":"evil\u202E"},"n":3})";
  view.history.push_back(entry);
  entry.detail = std::string("no JSON ") + kScript;
  view.history.push_back(entry);
  const auto html = message_html(view);
  expect_harmless(html);
  EXPECT_THAT(html, HasSubstr("<dt>tls &lt;script&gt;</dt><dd>evil[U+202E]</dd>"));
  EXPECT_THAT(html, HasSubstr("<dt>n</dt><dd>3</dd>"));

  SearchView search;
  search.hostname = search.term = "\"><img onload=\"alert(1)\">";
  search.error = kScript;
  expect_harmless(search_html(search));
  search.error.clear();
  search.rows = view.rows;
  expect_harmless(search_html(search));
}

TEST(StatusPage, BeginsATimelineWithTheAcceptanceAndKeepsTheLinesOfATranscript) {
  MessageView view;
  view.now = kNow;
  view.meta = MessageMeta();
  view.meta->accepted = kNow - 2h;
  HistoryEntry entry;
  entry.event = "deferred";
  entry.at = kNow - 1h;
  entry.detail = R"({"transcript":"S: 220 <mx>\nC: EHLO a\n"})";
  view.history.push_back(entry);
  const auto html = message_html(view);
  EXPECT_THAT(html, HasSubstr("<b>accepted</b> <small>2026-03-14 10:00:00 UTC</small></li>"));
  EXPECT_THAT(html, HasSubstr("<dt>transcript</dt><dd>S: 220 &lt;mx&gt;<br>C: EHLO a</dd>"));
  EXPECT_LT(html.find("<b>accepted"), html.find("<b>deferred"));
}

TEST(StatusPage, AllowsItsOwnStyleAndNothingElse) {
  const auto& policy = page_content_policy();
  EXPECT_TRUE(policy.starts_with("default-src 'none'; style-src 'sha256-")) << policy;
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
}

TEST(StatusPage, PutsTogetherWhatTheQueueAndTheSchedulerKnow) {
  auto view = simple();
  const std::vector<QueueRow> rows = {
      row("a@slow.test", kNow - 6 * 24h, "450 busy"), row("b@slow.test", kNow - 30min, "450 busier"),
      row("c@down.test", kNow - 2h, "450 no answer"), row("d@new.test", kNow - 1min, "")};
  DestinationStatus down;
  down.name = "down.test";
  down.state = "backing-off";
  down.waiting_reason = "no MX answers";
  down.retry_at = kNow + 5min;
  DestinationStatus active;
  active.name = "new.test";
  active.state = "active";
  add_waiting(view, rows, {down, active}, kNow);
  ASSERT_EQ(view.waiting.size(), 2u);
  EXPECT_EQ(view.waiting[0].name, "slow.test");
  EXPECT_EQ(view.waiting[0].recipients, 2u);
  EXPECT_EQ(view.waiting[0].oldest, kNow - 6 * 24h);
  EXPECT_EQ(view.waiting[0].why, "450 busier");
  EXPECT_EQ(view.waiting[1].state, "backing-off");
  EXPECT_EQ(view.waiting[1].why, "no MX answers");
  EXPECT_EQ(view.waiting[1].retry_at, kNow + 5min);
  EXPECT_EQ(view.ages.rows[0].waiting, 1u);  // under five minutes
  EXPECT_EQ(view.ages.rows[1].waiting, 1u);
  EXPECT_EQ(view.ages.rows[2].waiting, 1u);
  EXPECT_EQ(view.ages.rows[5].waiting, 1u);  // over five days
}

TEST(StatusPage, TellsPolicyMixAndFailuresApart) {
  auto view = simple();
  view.relay.tls = {{"sts", "successful", 40}, {"sts", "certificate-expired", 3}, {"tlsa", "successful", 5}};
  const auto html = status_html(view);
  EXPECT_THAT(html, HasSubstr("<td>sts</td><td class=\"num\">40</td><td class=\"num\">3</td>"));
  EXPECT_THAT(html, HasSubstr("<td>certificate-expired</td><td>sts</td><td class=\"num\">3</td>"));
}

TEST(StatusPage, IsMadeOfAThousandDestinationsInNoTime) {
  auto view = simple();
  std::vector<QueueRow> rows;
  for (int i = 0; i < 1200; ++i) {
    rows.push_back(row("user@d" + std::to_string(i) + ".test", kNow - std::chrono::minutes(i),
                       "450 4.2.0 the mailbox is busy, so come again when it is not"));
  }
  const auto begun = std::chrono::steady_clock::now();
  add_waiting(view, rows, {}, kNow);
  const auto html = status_html(view);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
  std::cout << "1,000 destinations: " << html.size() / 1024 << " KiB in " << took.count() << " ms\n";
  EXPECT_EQ(view.waiting_in_all, 1200u);
  EXPECT_EQ(view.waiting.size(), kMostWaitingShown);
  EXPECT_THAT(html, HasSubstr("And 200 more"));
  EXPECT_LT(took.count(), 2000);  // a sanitizer on a busy machine; the figure is the point
}

}  // namespace
}  // namespace holdfast
