// The search for a message, and what became of it.
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "mta/admin_json.h"
#include "mta/page/page_frame.h"
#include "mta/page/status_page.h"

namespace holdfast {

namespace json = boost::json;

namespace {

Markup tone_of(std::string_view event) {
  if (event == "delivered" || event == "relayed") return "good";
  if (event == "bounced" || event == "expired" || event == "damaged") return "bad";
  if (event == "deferred" || event == "held" || event == "removed" || event == "policy_refused")
    return "warn";
  return "";
}

void pill(Html& html, std::string_view state) {
  html << "<span class=\"pill " << tone_of(state) << "\">";
  html.text(state) << "</span>";
}

std::string sender_of(const MessageMeta& meta) {
  return meta.reverse_path.empty() ? "<>" : meta.reverse_path.text();
}

constexpr std::size_t kMostLines = 200;  // of a transcript
constexpr std::size_t kWide = 60;        // octets; longer values get a line of their own

// A value of several lines, a transcript, stays one.
void term(Html& html, std::string_view name, std::string_view value) {
  while (value.ends_with('\n')) value.remove_suffix(1);
  if (value.empty()) return;
  const bool wide = value.size() > kWide;
  html << (wide ? Markup("<dt class=\"wide\">") : Markup("<dt>"));
  html.text(name) << (wide ? Markup("</dt><dd class=\"wide\">") : Markup("</dt><dd>"));
  for (std::size_t lines = 0; lines < kMostLines; ++lines) {
    const auto end = value.find('\n');
    html.text(value.substr(0, end));
    if (end == std::string_view::npos) break;
    html << "<br>";
    value.remove_prefix(end + 1);
  }
  html << "</dd>";
}

void terms(Html& html, const std::string& prefix, const json::object& object) {
  for (const auto& member : object) {
    const std::string key = prefix + std::string(member.key());
    if (const auto* inner = member.value().if_object()) {
      terms(html, key + " ", *inner);
    } else if (const auto* text = member.value().if_string()) {
      term(html, key, std::string_view(text->data(), text->size()));
    } else {
      term(html, key, json::serialize(member.value()));
    }
  }
}

void detail(Html& html, const std::string& text) {
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  html << "<dl>";
  if (!error && value.is_object()) {
    terms(html, "", value.get_object());
  } else {
    term(html, "detail", text);
  }
  html << "</dl>";
}

void event(Html& html, std::string_view what, WallTime at) {
  html << "<li class=\"" << tone_of(what) << "\"><b>";
  html.text(what) << "</b> <small>";
  html.text(time_text(at)) << " UTC</small>";
}

void timeline(Html& html, const MessageView& view) {
  html << "<section id=\"timeline\"><h2>Timeline</h2>";
  if (!view.meta && view.history.empty()) html << "<p class=\"soft\">Nothing is remembered.</p>";
  html << "<ol class=\"timeline\">";
  if (view.meta) {  // the history begins with what happened next
    event(html, "accepted", view.meta->accepted);
    html << "</li>";
  }
  for (const auto& entry : view.history) {
    event(html, entry.event, entry.at);
    if (!entry.detail.empty() && entry.detail != "{}") detail(html, entry.detail);
    html << "</li>";
  }
  html << "</ol></section>";
}

void recipients(Html& html, const MessageView& view) {
  if (view.rows.empty()) return;
  html << "<section id=\"recipients\"><h2>Recipients</h2><table "
          "class=\"stack\"><thead><tr><th>To</th><th>State</th>"
          "<th class=\"num\">Tries</th><th>Next try</th><th class=\"why\">Last word</th></tr></thead><tbody>";
  for (const auto& row : view.rows) {
    html << "<tr><td data-h=\"To\">";
    html.text(row.to) << "</td><td data-h=\"State\">";
    pill(html, shown_state(row));
    html << "</td><td class=\"num\" data-h=\"Tries\">";
    if (!has_ended(row.state)) html.count(row.attempts);  // the last one is not among them
    html << "</td><td class=\"nowrap\" data-h=\"Next try\">";
    html.text(has_ended(row.state) ? "" : time_text(row.next_attempt)) << "</td><td data-h=\"Last word\">";
    html.text(row.reason) << "</td></tr>";
  }
  html << "</tbody></table></section>";
}

}  // namespace

std::string search_html(const SearchView& view) {
  Html html;
  begin_page(html, "Search - Holdfast " + view.hostname, view.hostname, view.term);
  html << "<h1>Messages with “<bdi>";
  html.text(view.term) << "</bdi>”</h1>";
  if (!view.error.empty()) {
    html << "<section class=\"notice\"><p>";
    html.text(view.error) << "</p></section>";
  } else if (view.rows.empty()) {
    html << "<p id=\"nothing\" class=\"soft\">None in the queue, and none that is remembered.</p>";
    if (view.limited)
      html << "<p class=\"soft\">A Message-ID was looked for among the newest messages only.</p>";
  } else {
    html << "<section id=\"found\"><table class=\"stack\"><thead><tr><th>Message</th><th>From</th><th>To</th>"
            "<th>Accepted</th><th>State</th></tr></thead><tbody>";
    for (const auto& row : view.rows) {
      html << "<tr><td data-h=\"Message\"><a class=\"mono\" href=\"/message/";
      html.text(row.meta->id.text()) << "\">";
      html.text(row.meta->id.text()) << "</a></td><td data-h=\"From\">";
      html.text(sender_of(*row.meta)) << "</td><td data-h=\"To\">";
      html.text(row.to) << "</td><td class=\"nowrap\" data-h=\"Accepted\">";
      html.text(time_text(row.meta->accepted)) << "</td><td data-h=\"State\">";
      pill(html, shown_state(row));
      html << "</td></tr>";
    }
    html << "</tbody></table></section>";
    if (view.more) html << "<p class=\"soft\">There are more; these are the newest.</p>";
  }
  end_page(html, view.now);
  return html.take();
}

std::string message_html(const MessageView& view) {
  Html html;
  const std::string id = view.id.text();
  begin_page(html, id + " - Holdfast " + view.hostname, view.hostname, id);
  html << "<h1>Message <span class=\"mono\">";
  html.text(id) << "</span></h1>";
  if (!view.error.empty()) {
    html << "<section class=\"notice\"><p>";
    html.text(view.error) << "</p></section>";
  }
  if (view.meta) {
    const auto& meta = *view.meta;
    html << "<section id=\"envelope\"><h2>Envelope</h2><dl>";
    term(html, "From", sender_of(meta));
    term(html, "User", meta.user);
    term(html, "Origin", meta.origin);
    term(html, "Message-ID", meta.message_id);
    term(html, "Size", size_text(meta.prefix_size + meta.body_size));
    term(html, "Accepted", time_text(meta.accepted) + " UTC");
    term(html, "Expires", time_text(meta.expires) + " UTC");
    if (meta.tls.requiretls) term(html, "TLS", "REQUIRETLS");
    if (meta.tls.tls_required_no) term(html, "TLS", "TLS-Required: No");
    html << "</dl></section>";
  }
  recipients(html, view);
  timeline(html, view);
  end_page(html, view.now);
  return html.take();
}

}  // namespace holdfast
