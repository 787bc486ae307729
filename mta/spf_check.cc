#include "mta/spf_check.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <vector>

#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

using SpfResult = SpfFinding::Result;

constexpr std::size_t kMxHosts = 10;  // section 4.6.4

SpfFinding found(SpfResult result, std::string detail) {
  SpfFinding finding;
  finding.result = result;
  finding.detail = std::move(detail);
  return finding;
}

bool is_v4(const IpBytes& ip) {
  constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(mapped.begin(), mapped.end(), ip.begin());
}

bool same_network(const IpBytes& a, const IpBytes& b, int bits) {
  for (int i = 0; i < bits; ++i) {
    const auto at = static_cast<std::size_t>(i / 8);
    const int mask = 0x80 >> (i % 8);
    if ((a[at] & mask) != (b[at] & mask)) return false;
  }
  return true;
}

// A term of the record, taken apart: "-a:mail.example/24//64".
struct Term {
  char qualifier = '+';
  std::string name;   // lower case
  std::string value;  // what follows ":" or "=", without lengths
  int v4 = 32, v6 = 128;
  bool modifier = false;
};

bool read_length(std::string_view text, int most, int& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size() && into >= 0 && into <= most;
}

std::optional<Term> parse_term(std::string_view text) {
  Term term;
  if (std::string_view("+-~?").find(text.front()) != std::string_view::npos) {
    term.qualifier = text.front();
    text.remove_prefix(1);
  }
  const auto name_end = std::min(text.find_first_of(":=/"), text.size());
  term.name = lower_case(text.substr(0, name_end));
  if (term.name.empty()) return std::nullopt;
  std::string_view rest = text.substr(name_end);
  if (!rest.empty() && rest.front() == '=') {
    term.modifier = true;
    term.value = rest.substr(1);
    return term;
  }
  if (!rest.empty() && rest.front() == ':') rest.remove_prefix(1);
  if (term.name == "ip4" || term.name == "ip6") {
    const auto slash = std::min(rest.find('/'), rest.size());
    term.value = rest.substr(0, slash);
    int& length = term.name == "ip4" ? term.v4 : term.v6;
    if (slash != rest.size() && !read_length(rest.substr(slash + 1), length, length)) return std::nullopt;
    return term;
  }
  if (const auto both = rest.find("//"); both != std::string_view::npos) {
    if (!read_length(rest.substr(both + 2), 128, term.v6)) return std::nullopt;
    rest = rest.substr(0, both);
  }
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (!read_length(rest.substr(slash + 1), 32, term.v4)) return std::nullopt;
    rest = rest.substr(0, slash);
  }
  term.value = rest;
  return term;
}

// What a receiver would call a syntax error in a term that was taken apart; "" when there is none.
std::string fault_of(const Term& term) {
  if (term.modifier) return "";
  if (term.name == "ip4" || term.name == "ip6") {
    const auto address = parse_ip(term.value);
    const bool fits = address && is_v4(*address) == (term.name == "ip4");
    return fits ? "" : "\"" + term.value + "\" is no address for " + term.name;
  }
  const bool needs_name = term.name == "include" || term.name == "exists";
  if (needs_name) return term.value.empty() ? term.name + " needs a name" : "";
  const bool known = term.name == "all" || term.name == "a" || term.name == "mx" || term.name == "ptr";
  return known ? "" : "there is no mechanism \"" + term.name + "\"";
}

// The terms of a record. One error anywhere makes the whole record an error, whatever stands before it
// (section 4.6), and so does a second redirect or exp (section 6).
std::optional<std::vector<Term>> parse_terms(const std::vector<std::string>& words, std::string& fault) {
  std::vector<Term> terms;
  for (const std::string& word : words) {
    auto term = parse_term(word);
    fault = term ? fault_of(*term) : "\"" + word + "\" cannot be read";
    if (fault.empty() && (term->name == "redirect" || term->name == "exp") &&
        std::any_of(terms.begin(), terms.end(), [&](const Term& other) { return other.name == term->name; }))
      fault = term->name + " stands there twice";
    if (!fault.empty()) return std::nullopt;
    terms.push_back(std::move(*term));
  }
  return terms;
}

SpfResult result_of(char qualifier) {
  switch (qualifier) {
    case '-': return SpfResult::fail;
    case '~': return SpfResult::softfail;
    case '?': return SpfResult::neutral;
    default: return SpfResult::pass;
  }
}

enum class Match { yes, no, failed };

// One evaluation, with what its includes share.
class Evaluation {
 public:
  Evaluation(Resolver& resolver, IpBytes ip) : resolver_(resolver), ip_(ip) {}

  asio::awaitable<SpfFinding> evaluate(std::string domain) {
    const DnsAnswer answer = co_await resolver_.query(domain, RecordType::txt);
    if (is_unknown(answer.status))
      co_return found(SpfResult::temperror, domain + ": " + describe(answer.status));
    std::vector<std::string> records;
    for (const RecordData& data : answer.records) {
      const auto* text = std::get_if<std::string>(&data);
      if (text == nullptr) continue;
      const std::string begin = lower_case(std::string_view(*text).substr(0, 7));
      if (begin == "v=spf1" || begin == "v=spf1 ") records.push_back(*text);
    }
    if (records.empty()) co_return found(SpfResult::none, domain + " has no SPF record");
    if (records.size() > 1)
      co_return found(SpfResult::permerror, domain + " has several SPF records; keep one");
    auto judging = judge(domain, records.front());
    co_return co_await std::move(judging);
  }

 private:
  asio::awaitable<SpfFinding> judge(std::string domain, std::string record) {
    std::string redirect;
    std::string_view rest = std::string_view(record).substr(6);
    std::vector<std::string> words;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(' '), rest.size());
      if (end > 0) words.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(rest.size(), end + 1));
    }
    std::string fault;
    const auto terms = parse_terms(words, fault);
    if (!terms) co_return found(SpfResult::permerror, domain + ": " + fault);
    for (std::size_t i = 0; i < terms->size(); ++i) {
      const Term& term = (*terms)[i];
      const std::string& word = words[i];
      if (term.value.find('%') != std::string::npos && term.name != "exp")
        co_return found(SpfResult::unknown,
                        domain + ": \"" + word + "\" holds a macro, which is not judged here");
      if (term.modifier) {
        if (term.name == "redirect") redirect = term.value;
        continue;
      }
      if (term.name == "all") co_return found(result_of(term.qualifier), domain + ": \"" + word + "\"");
      auto matching = matches(domain, term);
      const Match match = co_await std::move(matching);
      if (match == Match::failed) co_return failure_;
      if (match == Match::yes) co_return found(result_of(term.qualifier), domain + ": \"" + word + "\"");
    }
    if (redirect.empty()) co_return found(SpfResult::neutral, domain + ": no term matches");
    if (++lookups_ > kSpfLookups) co_return too_many();
    auto going_on = evaluate(redirect);
    SpfFinding there = co_await std::move(going_on);
    if (there.result == SpfResult::none) there.result = SpfResult::permerror;
    co_return there;
  }

  asio::awaitable<Match> matches(std::string domain, Term term) {
    if (term.name == "ip4" || term.name == "ip6") {
      const auto address = parse_ip(term.value);
      const bool inside = address && within(*address, term);
      co_return inside ? Match::yes : Match::no;
    }
    const std::string target = lower_case(term.value.empty() ? domain : term.value);
    if (++lookups_ > kSpfLookups) co_return fail_too_many();
    if (term.name == "ptr") co_return Match::no;
    if (term.name == "include") {
      auto including = evaluate(target);
      const SpfFinding there = co_await std::move(including);
      switch (there.result) {
        case SpfResult::pass: co_return Match::yes;
        case SpfResult::fail:
        case SpfResult::softfail:
        case SpfResult::neutral: co_return Match::no;
        case SpfResult::none:
          co_return fail(SpfResult::permerror, domain + ": include:" + target + " has no SPF record");
        case SpfResult::permerror:
        case SpfResult::temperror:
        case SpfResult::unknown: co_return fail(there.result, there.detail);
      }
    }
    if (term.name == "exists") {
      const DnsAnswer answer = co_await resolver_.query(target, RecordType::a);
      if (is_unknown(answer.status))
        co_return fail(SpfResult::temperror, target + ": " + describe(answer.status));
      co_return answer.records.empty() ? Match::no : Match::yes;
    }
    std::vector<std::string> hosts;
    if (term.name == "a") {
      hosts.push_back(target);
    } else {
      const DnsAnswer answer = co_await resolver_.query(target, RecordType::mx);
      if (is_unknown(answer.status))
        co_return fail(SpfResult::temperror, target + ": " + describe(answer.status));
      for (const RecordData& data : answer.records)
        if (const auto* mx = std::get_if<MxRecord>(&data)) hosts.push_back(mx->exchange);
      if (hosts.size() > kMxHosts)
        co_return fail(SpfResult::permerror, domain + ": mx:" + target + " has more than 10 hosts");
    }
    for (const std::string& host : hosts) {
      const DnsAnswer answer = co_await resolver_.query(host, is_v4(ip_) ? RecordType::a : RecordType::aaaa);
      if (is_unknown(answer.status))
        co_return fail(SpfResult::temperror, host + ": " + describe(answer.status));
      for (const RecordData& data : answer.records)
        if (const auto* address = std::get_if<IpBytes>(&data); address && within(*address, term))
          co_return Match::yes;
    }
    co_return Match::no;
  }

  bool within(const IpBytes& network, const Term& term) const {
    if (is_v4(network) != is_v4(ip_)) return false;
    return same_network(network, ip_, is_v4(ip_) ? 96 + term.v4 : term.v6);
  }
  Match fail(SpfResult result, std::string detail) {
    failure_ = found(result, std::move(detail));
    return Match::failed;
  }
  static SpfFinding too_many() {
    return found(SpfResult::permerror, "more than 10 DNS lookups: receivers take the record for an error");
  }
  Match fail_too_many() {
    failure_ = too_many();
    return Match::failed;
  }

  Resolver& resolver_;
  IpBytes ip_;
  int lookups_ = 0;
  SpfFinding failure_;
};

}  // namespace

const char* name(SpfFinding::Result result) {
  switch (result) {
    case SpfResult::none: return "none";
    case SpfResult::pass: return "pass";
    case SpfResult::neutral: return "neutral";
    case SpfResult::softfail: return "softfail";
    case SpfResult::fail: return "fail";
    case SpfResult::permerror: return "permerror";
    case SpfResult::temperror: return "temperror";
    case SpfResult::unknown: return "unknown";
  }
  return "unknown";
}

asio::awaitable<SpfFinding> check_spf(Resolver& resolver, std::string domain, IpBytes ip) {
  Evaluation evaluation(resolver, ip);
  auto evaluating = evaluation.evaluate(std::move(domain));
  co_return co_await std::move(evaluating);
}

}  // namespace holdfast
