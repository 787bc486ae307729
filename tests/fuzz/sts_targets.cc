// smtp/dns and sts: what a name server, a policy host and a domain's owner say.
#include <algorithm>

#include "smtp/base/utf8.h"
#include "smtp/dns/dns_message.h"
#include "sts/dane.h"
#include "sts/https_client.h"
#include "sts/policy.h"
#include "sts/record.h"
#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {
namespace {

std::vector<TlsaRecord> tlsa_records(std::string_view input) {
  // Usage, selector and matching type share an octet, then a length and the data.
  std::vector<TlsaRecord> records;
  while (input.size() >= 3 && records.size() < 20) {
    const auto kind = static_cast<unsigned char>(input[0]);
    const std::size_t size =
        std::size_t{static_cast<unsigned char>(input[1])} << 8 | static_cast<unsigned char>(input[2]);
    input.remove_prefix(3);
    TlsaRecord record;
    record.usage = static_cast<std::uint8_t>(kind >> 4 & 7);
    record.selector = static_cast<std::uint8_t>(kind >> 2 & 3);
    record.matching_type = static_cast<std::uint8_t>(kind & 3);
    record.data = input.substr(0, size);
    input.remove_prefix(record.data.size());
    records.push_back(std::move(record));
  }
  return records;
}

bool is_host_text(std::string_view name) {
  return is_ascii(name) && has_no_controls(name) && name.find(' ') == std::string_view::npos;
}

// As RFC 8461 section 4.1 puts it: label by label.
bool matches_by_label(std::string_view pattern, std::string_view host) {
  const auto left = split(pattern, '.'), right = split(host, '.');
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i)
    if (left[i] != right[i] && !(i == 0 && left[i] == "*" && left.size() > 1)) return false;
  return true;
}

}  // namespace

void fuzz_dns_message(std::string_view input) {
  const std::span message(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  const auto id = static_cast<std::uint16_t>(input.size() < 2 ? 0 : message[0] << 8 | message[1]);
  for (const RecordType type : {RecordType::a, RecordType::cname, RecordType::soa, RecordType::ptr,
                                RecordType::mx, RecordType::txt, RecordType::aaaa, RecordType::tlsa}) {
    const auto reply = parse_reply(message, id, "mx.example", type);
    if (!reply) continue;
    require(!parse_reply(message, static_cast<std::uint16_t>(id + 1), "mx.example", type),
            "an answer to another query is none");
    if (!reply->truncated)
      require(!reply->records.empty() == (reply->status == DnsStatus::ok),
              "an answer has records exactly when it is ok");
    if (reply->truncated) require(reply->records.empty(), "of a truncated answer nothing is believed");
    require(reply->aliases <= kMaxCnameHops + 1, "aliases are bounded");
    require(reply->ttl.count() >= 0 && reply->ttl.count() <= 0x7fffffff, "a TTL is 31 bits");
    require(is_host_text(reply->name), "a name is printable");
    std::size_t octets = 0;
    for (const RecordData& data : reply->records) {
      if (const auto* mx = std::get_if<MxRecord>(&data))
        require(is_host_text(mx->exchange), "a host name is printable");
      if (const auto* tlsa = std::get_if<TlsaRecord>(&data)) octets += tlsa->data.size();
      if (const auto* text = std::get_if<std::string>(&data); text && type == RecordType::txt)
        octets += text->size();
    }
    require(octets <= input.size(), "records hold what the message holds");
  }
}

void fuzz_tlsa(std::string_view input) {
  auto records = tlsa_records(input);
  const auto usable = usable_records(records);
  require(std::is_sorted(usable.begin(), usable.end()), "usable records are sorted");
  require(std::adjacent_find(usable.begin(), usable.end()) == usable.end(), "each record counts once");
  require(usable_records(usable) == usable, "usable records stay usable");
  bool any = false;
  for (const TlsaRecord& record : records) any = any || is_usable(record);
  require(any == !usable.empty(), "a set with a usable record is usable");
  for (const TlsaRecord& record : usable) {
    require(is_usable(record) && (record.usage == 2 || record.usage == 3),
            "only DANE-TA and DANE-EE are used");
    require(std::find(records.begin(), records.end(), record) != records.end(), "no record is made up");
    const std::string text = tlsa_text(record);
    require(has_no_controls(text) && is_ascii(text) && text.size() == 6 + 2 * record.data.size(),
            "a record prints as in a zone file");
    const bool weaker = std::any_of(usable.begin(), usable.end(), [&](const TlsaRecord& other) {
      return other.usage == record.usage && other.selector == record.selector && record.matching_type == 1 &&
             other.matching_type == 2;
    });
    require(!weaker, "of digests only the strongest counts");
  }
  std::reverse(records.begin(), records.end());
  require(usable_records(records) == usable, "the order of records does not matter");
}

void fuzz_sts_record(std::string_view input) {
  const std::string text(input);
  const auto record = parse_sts_record(text);
  const auto alone = find_sts_record({text});
  if (!record) return;
  require(!record->id.empty() && record->id.size() <= 32, "an id has 1 to 32 characters");
  require(std::all_of(record->id.begin(), record->id.end(),
                      [](char c) {
                        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
                      }),
          "an id is letters and digits");
  const auto same = [&](const Result<std::optional<StsRecord>>& found) {
    return found && *found && **found == *record;
  };
  require(same(alone), "a sound record is found");
  require(same(find_sts_record({"v=spf1 -all", text, "v=STSv10; id=1;"})),
          "records beside it do not hide it");
  require(!find_sts_record({text, text}), "of two records none counts");
}

void fuzz_sts_policy(std::string_view input) {
  const auto policy = StsPolicy::parse(input);
  if (!policy) {
    require(has_no_controls(policy.error().text()), "an error is one line");
    return;
  }
  require(policy->max_age.count() >= 0 && policy->max_age.count() <= 31557600, "max_age is at most a year");
  require(policy->lines.size() <= kMaxPolicyLines, "a policy is bounded in lines");
  require(policy->mode == StsMode::none || !policy->mx.empty(),
          "a policy that asks for something names an MX");
  std::string lines, sound = "version: STSv1\nmode: " + std::string(name(policy->mode)) +
                             "\nmax_age: " + std::to_string(policy->max_age.count()) + "\n";
  for (const std::string& line : policy->lines) {
    require(is_utf8(line) && line.find_first_of("\r\n") == std::string::npos,
            "a line of a report is one line");
    lines += line + "\r\n";
  }
  for (const std::string& pattern : policy->mx) {
    sound += "mx: " + pattern + "\n";
    const std::string name = pattern.starts_with("*.") ? pattern.substr(2) : pattern;
    require(is_ascii(pattern) && has_no_controls(pattern), "a pattern is in A-labels");
    for (const std::string& host : {name, "a." + name, "a.b." + name, "a" + name}) {
      const auto parsed = DomainName::parse(host);
      if (!parsed) continue;
      const bool matches = mx_pattern_matches(pattern, *parsed);
      require(matches == matches_by_label(pattern, parsed->text()), "a wildcard is one whole label");
      if (matches) require(policy->matches(*parsed), "one pattern is enough");
    }
  }
  const auto printed = StsPolicy::parse(sound), reported = StsPolicy::parse(lines);
  for (const auto* again : {&printed, &reported}) {
    require(again->has_value(), "what is reported is a policy");
    require(
        (*again)->mode == policy->mode && (*again)->max_age == policy->max_age && (*again)->mx == policy->mx,
        "what is reported is the policy that was read");
  }
}

void fuzz_https_url(std::string_view input) {
  const auto url = HttpsUrl::parse(input);
  if (!url) return;
  const std::string text = url->text();
  require(url->port != 0 && url->path.starts_with('/') && url->path.find('#') == std::string::npos,
          "a URL has a port and a path");
  require(is_host_text(text), "a URL fits into a request line");
  const auto again = HttpsUrl::parse(text);
  require(again && again->host == url->host && again->port == url->port && again->path == url->path,
          "a URL is read as it is written");
}

}  // namespace holdfast::fuzz
