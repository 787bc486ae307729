#include "mta/admin_json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "mta/json_text.h"

namespace holdfast {

namespace {

std::string object(const Fields& fields) { return "{" + fields.json() + "}"; }

// `items` are JSON already.
std::string array(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += item;
  }
  return out + "]";
}

// Appends a member whose value is JSON already.
std::string with_member(std::string json_object, std::string_view key, const std::string& value) {
  json_object.pop_back();
  return json_object + ",\"" + std::string(key) + "\":" + value + "}";
}

// As it stands in NOTIFY= (RFC 3461 section 4.1); "" = the sender said nothing.
std::string notify_text(std::uint8_t flags) {
  if ((flags & kNotifyNever) != 0) return "NEVER";
  std::string out;
  const auto add = [&](NotifyFlag flag, const char* word) {
    if ((flags & flag) != 0) out += (out.empty() ? "" : ",") + std::string(word);
  };
  add(kNotifySuccess, "SUCCESS");
  add(kNotifyFailure, "FAILURE");
  add(kNotifyDelay, "DELAY");
  return out;
}

Fields message_fields(const MessageMeta& meta) {
  Fields fields;
  fields.add("schema", kAdminSchema).add("msg", meta.id.text());
  fields.add("from", meta.reverse_path.empty() ? std::string("<>") : meta.reverse_path.text());
  fields.add("user", meta.user).add("origin", meta.origin).add("message_id", meta.message_id);
  fields.add("size", meta.prefix_size + meta.body_size);
  fields.add("accepted", rfc3339(meta.accepted)).add("expires", rfc3339(meta.expires));
  fields.add("requiretls", meta.tls.requiretls).add("tls_required_no", meta.tls.tls_required_no);
  return fields;
}

}  // namespace

std::string rfc3339(WallTime at) {
  if (at == WallTime{}) return "";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(at));
}

std::string queue_row_json(const QueueRow& row) {
  Fields fields = message_fields(*row.meta);
  fields.add("to", row.to).add("state", shown_state(row)).add("attempts", row.attempts);
  fields.add("next", rfc3339(row.next_attempt)).add("reason", row.reason).add("policy", row.policy);
  return object(fields);
}

std::string message_json(const MessageStory& story) {
  std::vector<std::string> recipients, events;
  for (const auto& row : story.recipients) {
    Fields fields;
    fields.add("to", row.to).add("state", shown_state(row)).add("attempts", row.attempts);
    fields.add("next", has_ended(row.state) ? std::string() : rfc3339(row.next_attempt));
    fields.add("reason", row.reason).add("policy", row.policy).add("mx", row.mx);
    fields.add("ended", row.ended ? rfc3339(*row.ended) : std::string());
    fields.add("notify", notify_text(row.dsn.notify)).add("orcpt", row.dsn.original_recipient);
    recipients.push_back(object(fields));
  }
  for (const auto& entry : story.history) {
    Fields fields;
    fields.add("at", rfc3339(entry.at)).add("event", entry.event);
    events.push_back(with_member(object(fields), "detail", entry.detail.empty() ? "{}" : entry.detail));
  }
  const MessageMeta& meta = *story.meta;
  Fields fields = message_fields(meta);
  fields.add("release", rfc3339(meta.release)).add("envid", meta.envelope_id);
  fields.add("ret", meta.dsn_return == DsnReturn::full      ? "FULL"
                    : meta.dsn_return == DsnReturn::headers ? "HDRS"
                                                            : "");
  fields.add("body", meta.body_type == BodyType::eight_bit ? "8BITMIME" : "7BIT");
  fields.add("smtputf8", meta.smtputf8).add("bounce", meta.is_bounce);
  return with_member(with_member(object(fields), "recipients", array(recipients)), "history", array(events));
}

std::string summary_json(const SummaryLine& line, std::string_view by) {
  Fields fields;
  fields.add("schema", kAdminSchema).add("by", by).add("key", line.key);
  fields.add("recipients", line.recipients).add("messages", line.messages).add("bytes", line.bytes);
  fields.add("oldest", rfc3339(line.oldest));
  return object(fields);
}

std::string policy_json(const CachedPolicy& policy, std::string_view source) {
  std::vector<std::string> patterns;
  for (const auto& pattern : policy.policy.mx) patterns.push_back(json_string(pattern));
  Fields fields;
  fields.add("schema", kAdminSchema).add("domain", policy.domain.text()).add("id", policy.id);
  fields.add("mode", name(policy.policy.mode)).add("max_age", std::int64_t{policy.policy.max_age.count()});
  fields.add("fetched", rfc3339(policy.fetched))
      .add("expires", rfc3339(policy.expires))
      .add("source", source);
  return with_member(object(fields), "mx", array(patterns));
}

std::string error_json(std::string_view text) {
  Fields fields;
  fields.add("schema", kAdminSchema).add("error", text);
  return object(fields);
}

}  // namespace holdfast
