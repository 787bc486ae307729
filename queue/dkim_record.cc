#include "queue/dkim_record.h"

#include <algorithm>
#include <map>
#include <optional>

namespace holdfast {
namespace {

using Tags = std::map<std::string, std::string, std::less<>>;
using State = DkimRecordFinding::State;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string without_space(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return !is_space(c); });
  return out;
}

// nullopt: not a tag list (section 3.2). A tag that is given twice makes it none.
std::optional<Tags> parse_tags(std::string_view record) {
  Tags tags;
  bool first = true;
  while (!record.empty()) {
    const auto end = std::min(record.find(';'), record.size());
    const auto spec = trimmed(record.substr(0, end));
    record.remove_prefix(std::min(record.size(), end + 1));
    if (spec.empty()) {
      if (!trimmed(record).empty()) return std::nullopt;
      break;
    }
    const auto equals = spec.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    const std::string tag(trimmed(spec.substr(0, equals)));
    // The version, where there is one, comes first.
    if (tag == "v" && !first) return std::nullopt;
    if (!tags.emplace(tag, trimmed(spec.substr(equals + 1))).second) return std::nullopt;
    first = false;
  }
  return tags;
}

std::string value_of(const Tags& tags, std::string_view tag, std::string_view fallback) {
  const auto found = tags.find(tag);
  return found == tags.end() ? std::string(fallback) : found->second;
}

// In a list separated by colons?
bool lists(const std::string& list, std::string_view wanted) {
  std::string_view rest = list;
  while (true) {
    const auto end = std::min(rest.find(':'), rest.size());
    if (trimmed(rest.substr(0, end)) == wanted) return true;
    if (end == rest.size()) return false;
    rest.remove_prefix(end + 1);
  }
}

// Other records may share the name by mistake or by a wildcard: receivers drop them.
bool looks_like_key(std::string_view record) {
  const std::string text = without_space(record);
  return text.starts_with("v=DKIM1") || text.starts_with("p=") || text.starts_with("k=") ||
         text.find(";p=") != std::string::npos;
}

DkimRecordFinding found(State state, std::string detail) {
  DkimRecordFinding finding;
  finding.state = state;
  finding.detail = std::move(detail);
  return finding;
}

}  // namespace

const char* name(State state) {
  switch (state) {
    case State::good: return "good";
    case State::missing: return "missing";
    case State::several: return "several";
    case State::malformed: return "malformed";
    case State::revoked: return "revoked";
    case State::different: return "different";
    case State::unusable: return "unusable";
  }
  return "unknown";
}

DkimRecordFinding compare_dkim_record(const std::vector<std::string>& txt, std::string_view expected) {
  std::vector<std::string> keys;
  std::copy_if(txt.begin(), txt.end(), std::back_inserter(keys), looks_like_key);
  if (keys.empty()) {
    return found(State::missing,
                 txt.empty() ? "there is no record" : "the TXT record there is no DKIM key: " + txt.front());
  }
  if (keys.size() > 1)
    return found(State::several, "there are " + std::to_string(keys.size()) + " DKIM keys; keep one");
  const auto tags = parse_tags(keys.front());
  const auto ours = parse_tags(expected);
  if (!tags || !ours) return found(State::malformed, "the record breaks the grammar of tag=value lists");
  if (value_of(*tags, "v", "DKIM1") != "DKIM1")
    return found(State::malformed, "v= is " + value_of(*tags, "v", "") + " instead of DKIM1");
  if (!tags->contains("p")) return found(State::malformed, "p= is missing");
  const std::string key = without_space(value_of(*tags, "p", ""));
  if (key.empty()) return found(State::revoked, "p= is empty: the key is revoked");
  const std::string type = value_of(*tags, "k", "rsa"), our_type = value_of(*ours, "k", "rsa");
  if (type != our_type)
    return found(State::different, "k= is " + type + ", but the key that signs is " + our_type);
  if (key != without_space(value_of(*ours, "p", ""))) {
    return found(State::different,
                 "p= is another key than the one that signs; was it cut off, or is it of "
                 "an earlier key?");
  }
  if (tags->contains("h") && !lists(value_of(*tags, "h", ""), "sha256"))
    return found(State::unusable, "h= does not list sha256, with which the relay signs");
  const std::string service = value_of(*tags, "s", "*");
  if (!lists(service, "*") && !lists(service, "email"))
    return found(State::unusable, "s= does not list email");
  DkimRecordFinding good = found(State::good, "");
  good.testing = lists(value_of(*tags, "t", ""), "y");
  if (good.testing)
    good.detail = "t=y: receivers treat the mail as if it were unsigned; drop it once all is well";
  return good;
}

}  // namespace holdfast
