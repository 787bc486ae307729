#include "mta/page/status_page.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "mta/page/page_frame.h"

namespace holdfast {

namespace {

constexpr int kChartHeight = 100, kMinuteWidth = 10, kBarWidth = 4;

// A cell of a table that becomes lines on a phone; `heading` is its column's.
Html& cell(Html& html, Markup heading, std::string_view value) {
  html << "<td data-h=\"" << heading << "\">";
  return html.text(value) << "</td>";
}
Html& number_cell(Html& html, Markup heading, std::uint64_t value) {
  html << "<td class=\"num\" data-h=\"" << heading << "\">";
  return html.count(value) << "</td>";
}

void tile(Html& html, std::string_view value, Markup what) {
  html << "<div class=\"tile\"><b>";
  html.text(value) << "</b><span>" << what << "</span></div>";
}
void tile(Html& html, std::uint64_t value, Markup what) { tile(html, count_text(value), what); }

void heading(Html& html, const RelayFacts& relay) {
  html << "<h1>";
  if (relay.not_ready.empty()) {
    html << "<span class=\"pill good\">ready</span> ";
  } else {
    html << "<span class=\"pill bad\">not ready</span> ";
  }
  html.text(relay.hostname) << "</h1><p class=\"soft\">Version ";
  html.text(relay.version) << ", up for ";
  html.text(age_text(seconds_between(relay.started, relay.now)));
  for (const auto& listener : relay.listeners) {
    html << " · <span class=\"mono\">";
    html.text(listener.address) << "</span> ";
    html.count(listener.connections) << (listener.connections == 1 ? Markup(" client") : Markup(" clients"));
  }
  html << (relay.validating ? Markup(" · the resolver validates DNSSEC")
                            : Markup(" · the resolver was not seen to validate DNSSEC, so DANE is blind"));
  html << "</p>";
}

void notices(Html& html, const StatusView& view) {
  if (view.relay.not_ready.empty() && view.errors.empty()) return;
  html << "<section class=\"notice\" id=\"notices\"><h2>What is wrong</h2>";
  for (const auto& reason : view.relay.not_ready) {
    html << "<p>";
    html.text(reason) << "</p>";
  }
  for (const auto& error : view.errors) {
    html << "<p>";
    html.text(error) << "</p>";
  }
  html << "</section>";
}

void tiles(Html& html, const StatusView& view) {
  const auto last = view.relay.traffic.empty() ? TrafficMinute() : view.relay.traffic.front();
  html << "<div class=\"tiles\" id=\"numbers\">";
  tile(html, last.accepted, "accepted, last minute");
  tile(html, last.delivered, "delivered, last minute");
  if (view.stats) {
    tile(html, view.stats->recipients_queued, "recipients queued");
    tile(html, view.stats->recipients_deferred, "deferred");
    tile(html, view.stats->recipients_held, "held");
    if (view.stats->damaged > 0) tile(html, view.stats->damaged, "damaged, set aside");
    tile(html, view.stats->oldest ? age_text(seconds_between(*view.stats->oldest, view.relay.now)) : "–",
         "oldest message");
    tile(html, size_text(view.stats->bytes), "in the queue");
    tile(html, size_text(view.stats->free_bytes), "free on disk");
  }
  std::uint64_t clients = 0;
  for (const auto& listener : view.relay.listeners) clients += listener.connections;
  tile(html, clients, "connections in");
  tile(html, view.relay.outgoing, "connections out");
  html << "</div>";
}

void bar(Html& html, Markup kind, int x, std::uint64_t value, std::uint64_t most) {
  if (value == 0) return;  // so `most` is not 0 either
  const auto height = std::max<std::uint64_t>(1, value * kChartHeight / most);
  html << "<rect class=\"" << kind << "\" x=\"";
  html.number(static_cast<std::uint64_t>(x)) << "\" y=\"";
  html.number(kChartHeight - height) << "\" width=\"";
  html.number(kBarWidth) << "\" height=\"";
  html.number(height) << "\"/>";
}

void chart(Html& html, const std::vector<TrafficMinute>& minutes) {
  std::uint64_t most = 0, accepted = 0, delivered = 0;
  for (const auto& minute : minutes) {
    most = std::max({most, minute.accepted, minute.delivered});
    accepted += minute.accepted;
    delivered += minute.delivered;
  }
  html << "<section id=\"traffic\"><h2>The last hour, by minute</h2>"
          "<svg class=\"chart\" viewBox=\"0 0 600 101\" preserveAspectRatio=\"none\" role=\"img\" "
          "aria-label=\"Accepted and delivered per minute\">"
          "<line class=\"base\" x1=\"0\" y1=\"100.5\" x2=\"600\" y2=\"100.5\"/>";
  for (std::size_t i = 0; i < std::min(minutes.size(), TrafficHistory::kMinutes); ++i) {
    const int x = kMinuteWidth * static_cast<int>(TrafficHistory::kMinutes - 1 - i);
    bar(html, "in", x, minutes[i].accepted, most);
    bar(html, "out", x + kBarWidth, minutes[i].delivered, most);
  }
  html << "</svg><p class=\"soft\"><span class=\"key k-in\">";
  html.count(accepted) << " accepted</span><span class=\"key k-out\">";
  html.count(delivered) << " delivered</span>at most ";
  html.count(most) << " a minute</p></section>";
}

void ages(Html& html, const QueueAges& ages) {
  constexpr std::array<Markup, QueueAges::kBounds.size() + 1> kLabels{
      Markup("under 5 min"), Markup("5 min to 1 h"), Markup("1 h to 4 h"),
      Markup("4 h to 1 d"),  Markup("1 d to 5 d"),   Markup("over 5 d")};
  html << "<section id=\"ages\"><h2>Queue by age</h2><table><thead><tr><th>Age</th><th "
          "class=\"num\">Waiting</th>"
          "<th class=\"num\">Held</th></tr></thead><tbody>";
  for (std::size_t i = 0; i < kLabels.size(); ++i) {
    html << "<tr><td>" << kLabels[i] << "</td><td class=\"num\">";
    html.count(ages.rows[i].waiting) << "</td><td class=\"num\">";
    html.count(ages.rows[i].held) << "</td></tr>";
  }
  if (ages.not_looked_at > 0) {
    html << "<tr><td>younger than all these</td><td class=\"num\">";
    html.count(ages.not_looked_at) << "</td><td></td></tr>";
  }
  html << "</tbody></table></section>";
}

void destinations(Html& html, const StatusView& view) {
  html << "<section id=\"destinations\"><h2>Destinations that wait</h2>";
  if (view.waiting.empty()) {
    html << "<p class=\"soft\">None: what is queued is on its way.</p></section>";
    return;
  }
  html << "<div class=\"scroll\"><table class=\"stack\"><thead><tr><th>Destination</th><th>State</th>"
          "<th class=\"num\">Recipients</th><th>Oldest</th><th>Next try</th><th class=\"why\">Why</th></tr>"
          "</thead><tbody>";
  const auto now = view.relay.now;
  for (const auto& one : view.waiting) {
    html << "<tr>";
    cell(html, "Destination", one.name);
    html << "<td data-h=\"State\"><span class=\"pill "
         << (one.policy                ? Markup("bad")
             : one.state == "deferred" ? Markup("")
                                       : Markup("warn"))
         << "\">";
    html.text(one.state) << (one.policy ? Markup(" · TLS") : Markup("")) << "</span></td>";
    number_cell(html, "Recipients", one.recipients);
    html << "<td class=\"nowrap\" data-h=\"Oldest\">";
    html.text(one.oldest ? age_text(seconds_between(*one.oldest, now)) : "") << "</td>";
    html << "<td class=\"nowrap\" data-h=\"Next try\">";
    html.text(one.retry_at ? "in " + age_text(seconds_between(now, *one.retry_at)) : "") << "</td>";
    cell(html, "Why", one.why) << "</tr>";
  }
  html << "</tbody></table></div>";
  if (view.waiting_in_all > view.waiting.size()) {
    html << "<p class=\"soft\">And ";
    html.count(view.waiting_in_all - view.waiting.size())
        << " more: <span class=\"mono\">holdfast destination list</span></p>";
  }
  html << "</section>";
}

void tls(Html& html, const std::vector<TlsSessions>& sessions) {
  struct Sum {
    std::uint64_t good = 0, failed = 0;
  };
  std::map<std::string, Sum> by_policy;
  std::vector<TlsSessions> failures;
  for (const auto& one : sessions) {
    auto& sum = by_policy[one.policy];
    const bool good = one.result_type == name(ResultType::success);
    (good ? sum.good : sum.failed) += one.sessions;
    if (!good) failures.push_back(one);
  }
  std::sort(failures.begin(), failures.end(),
            [](const auto& a, const auto& b) { return a.sessions > b.sessions; });
  html << "<section id=\"tls\"><h2>TLS since the start</h2>";
  if (sessions.empty()) html << "<p class=\"soft\">No session yet.</p>";
  if (!sessions.empty()) {
    html << "<table><thead><tr><th>Policy</th><th class=\"num\">Good</th><th "
            "class=\"num\">Failed</th></tr></thead>"
            "<tbody>";
    for (const auto& [policy, sum] : by_policy) {
      html << "<tr><td>";
      html.text(policy) << "</td><td class=\"num\">";
      html.count(sum.good) << "</td><td class=\"num\">";
      html.count(sum.failed) << "</td></tr>";
    }
    html << "</tbody></table>";
  }
  if (!failures.empty()) {
    html << "<h2>Failures by type</h2><table><thead><tr><th>Result</th><th>Policy</th>"
            "<th class=\"num\">Sessions</th></tr></thead><tbody>";
    for (const auto& one : failures) {
      html << "<tr><td>";
      html.text(one.result_type) << "</td><td>";
      html.text(one.policy) << "</td><td class=\"num\">";
      html.count(one.sessions) << "</td></tr>";
    }
    html << "</tbody></table>";
  }
  html << "</section>";
}

void policies(Html& html, const StatusView& view) {
  html << "<section id=\"policies\"><h2>MTA-STS policies in force</h2><p class=\"soft\">";
  if (view.policies_in_all == 0) {
    html << "None is cached.</p></section>";
    return;
  }
  bool first = true;
  for (const auto& [mode, count] : view.policy_modes) {
    if (!first) html << " · ";
    first = false;
    html.count(count) << " ";
    html.text(mode);
  }
  html << "</p><div class=\"scroll\"><table "
          "class=\"stack\"><thead><tr><th>Domain</th><th>Mode</th><th>Until</th>"
          "<th class=\"why\">MX, and what went wrong</th></tr></thead><tbody>";
  for (const auto& entry : view.policies) {
    const auto& cached = entry.cached;
    html << "<tr>";
    cell(html, "Domain", cached.domain.text());
    cell(html, "Mode", name(cached.policy.mode));
    html << "<td class=\"nowrap\" data-h=\"Until\">";
    html.text(time_text(cached.expires).substr(0, 10)) << "</td><td data-h=\"MX\"><span>";
    for (std::size_t i = 0; i < cached.policy.mx.size(); ++i) {
      if (i > 0) html << ", ";
      if (i == 5) {
        html << "…";
        break;
      }
      html.text(cached.policy.mx[i]);
    }
    if (!entry.failure.empty()) {
      html << " <span class=\"pill warn\">last fetch failed</span> ";
      html.text(entry.failure);
    }
    html << "</span></td></tr>";
  }
  html << "</tbody></table></div>";
  if (view.policies_in_all > view.policies.size()) {
    html << "<p class=\"soft\">And ";
    html.count(view.policies_in_all - view.policies.size())
        << " more: <span class=\"mono\">holdfast sts show</span></p>";
  }
  html << "</section>";
}

Markup pill_of(TargetState state) {
  switch (state) {
    case TargetState::sent: return "pill good";
    case TargetState::given_up:
    case TargetState::bounced: return "pill bad";
    case TargetState::waiting:
    case TargetState::queued: break;
  }
  return "pill warn";
}

void reports(Html& html, const StatusView& view) {
  html << "<section id=\"reports\"><h2>TLS reports of ";
  html.text(fmt::format("{:%Y-%m-%d}", std::chrono::sys_seconds(view.report_day))) << "</h2>";
  if (view.reports.empty()) {
    html << "<p class=\"soft\">None: nobody whom mail went to asked for one.</p></section>";
    return;
  }
  html << "<div class=\"scroll\"><table class=\"stack\"><thead><tr><th>Domain</th><th>State</th><th>To</th>"
          "<th class=\"why\">Remark</th></tr></thead><tbody>";
  for (const auto& report : view.reports) {
    for (const auto& target : report.targets) {
      html << "<tr>";
      cell(html, "Domain", report.domain.text());
      html << "<td data-h=\"State\"><span class=\"" << pill_of(target.state) << "\">";
      html.text(name(target.state)) << "</span></td>";
      cell(html, "To", target.target.uri());
      cell(html, "Remark", target.reason) << "</tr>";
    }
    if (report.targets.empty()) {
      html << "<tr>";
      cell(html, "Domain", report.domain.text());
      html << "<td data-h=\"State\"><span class=\"pill\">";
      html.text(name(report.state)) << "</span></td><td></td>";
      cell(html, "Remark", report.reason) << "</tr>";
    }
  }
  html << "</tbody></table></div></section>";
}

}  // namespace

std::string status_html(const StatusView& view) {
  Html html;
  begin_page(html, "Holdfast " + view.relay.hostname, view.relay.hostname, "");
  heading(html, view.relay);
  notices(html, view);
  tiles(html, view);
  chart(html, view.relay.traffic);
  destinations(html, view);
  html << "<div class=\"cols\">";
  ages(html, view.ages);
  tls(html, view.relay.tls);
  html << "</div>";
  policies(html, view);
  reports(html, view);
  end_page(html, view.relay.now);
  return html.take();
}

}  // namespace holdfast
