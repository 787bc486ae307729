// queue: messages' headers, what DNS says of a key, notifications, and rows of the database.
#include <algorithm>

#include "queue/dkim_canonical.h"
#include "queue/dkim_record.h"
#include "queue/dsn.h"
#include "queue/dsn_text.h"
#include "queue/header_address.h"
#include "queue/header_collector.h"
#include "queue/header_section.h"
#include "queue/store_record.h"
#include "smtp/base/random.h"
#include "smtp/base/utf8.h"
#include "smtp/wire/ascii.h"
#include "smtp/wire/content_check.h"
#include "smtp/wire/parameters.h"
#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {
namespace {

std::string with_checksum(std::string_view octets) {
  std::string out(octets);
  const std::uint32_t sum = checksum(octets);
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(sum >> shift);
  return out;
}

std::string damaged(std::string octets, std::uint64_t how) {
  octets[how % octets.size()] ^= static_cast<char>(1U << (how >> 32) % 8);
  return octets;
}

template <class Decode, class Encode>
void round_trip(std::string_view input, Decode decode, Encode encode) {
  decode(input);
  const auto value = decode(with_checksum(input));
  if (!value) return;
  const std::string written = encode(*value);
  const auto again = decode(written);
  require(again && encode(*again) == written, "a record is read as it is written");
  require(!decode(damaged(written, hash_of(input))), "a bit that fell over is noticed");
}

bool is_clean(std::string_view content) {
  ContentCheck check;
  check.feed(content);
  check.finish();
  return !check.violation();
}

class Fixed final : public Random {
 public:
  explicit Fixed(std::uint64_t value) : value_(value) {}
  std::uint64_t next() override { return value_ = value_ * 6364136223846793005U + 1442695040888963407U; }

 private:
  std::uint64_t value_;
};

// Lines of a request, in the order of the input; the last one again and again.
class Lines {
 public:
  explicit Lines(std::string_view input) : parts_(split(input, '\n')) {}
  std::string next() { return std::string(parts_[std::min(at_++, parts_.size() - 1)]); }
  std::uint64_t number() { return hash_of(next()); }

 private:
  std::vector<std::string_view> parts_;
  std::size_t at_ = 0;
};

Mailbox mailbox_of(const std::string& text) {
  auto mailbox = Mailbox::parse(text);
  return mailbox ? std::move(*mailbox) : make_mailbox("somebody", "one.example");
}

}  // namespace

void fuzz_queue_row(std::string_view input) {
  round_trip(input, decode_meta, encode_meta);
  round_trip(input, decode_recipient, encode_recipient);
}

void fuzz_header(std::string_view input) {
  struct Collected {
    HeaderCollector::State state;
    std::string header, rest;
    bool empty_line;
    bool operator==(const Collected&) const = default;
  };
  std::optional<Collected> first;
  for (const Chunks& chunks : splits_of(input)) {
    HeaderCollector collector(100);
    std::string behind;
    auto state = HeaderCollector::State::collecting;
    for (const auto chunk : chunks) {
      if (state == HeaderCollector::State::collecting) {
        state = collector.feed(chunk);
      } else {
        behind += chunk;
      }
    }
    if (state == HeaderCollector::State::collecting) state = collector.end();
    require(state != HeaderCollector::State::collecting, "the end of the content ends the header");
    Collected collected{state, "", "", false};
    if (state == HeaderCollector::State::complete) {
      collected = {state, std::string(collector.header()), std::string(collector.rest()) + behind,
                   collector.has_empty_line()};
      require(collected.header.size() <= 100, "a header keeps its limit");
      const std::string whole = collected.header + (collected.empty_line ? "\r\n" : "") + collected.rest;
      require(whole == input || whole == std::string(input) + "\r\n", "no octet is lost");
    }
    if (!first) first = collected;
    require(*first == collected, "chunks do not matter");
  }

  const auto fields = parse_header(input);
  if (!fields) return;
  std::string joined;
  for (const HeaderField& field : *fields) {
    joined += field.raw;
    require(begins_field(field.raw.substr(0, field.raw.find("\r\n"))), "a field has a name");
    require(unfold(field.value()).find_first_of("\r\n") == std::string::npos,
            "an unfolded value is one line");
    require(find_field(*fields, field.name) != nullptr && count_fields(*fields, field.name) >= 1,
            "a field is found");
  }
  require(joined == input, "fields are the header, verbatim");
}

void fuzz_mailboxes(std::string_view input) {
  const auto mailboxes = parse_mailboxes(input);
  if (!mailboxes) return;
  require(!mailboxes->empty(), "a sound field has a mailbox");
  std::string plain, angled;
  for (const Mailbox& mailbox : *mailboxes) {
    plain += (plain.empty() ? "" : ", ") + mailbox.text();
    angled += (angled.empty() ? "" : ",\r\n \"A, <b>\" ") + ("<" + mailbox.text() + "> (c)");
  }
  const auto again = parse_mailboxes(plain), named = parse_mailboxes(angled);
  require(again && *again == *mailboxes, "mailboxes are read as they are written");
  require(named && *named == *mailboxes, "names and comments do not change mailboxes");
}

void fuzz_dkim_record(std::string_view input) {
  const std::string ours = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP";
  const std::string text(input);
  const auto finding = compare_dkim_record({text}, ours);
  require(std::string(name(finding.state)) != "unknown", "a finding has a name");
  const bool good = finding.state == DkimRecordFinding::State::good;
  require(good || !finding.detail.empty(), "what is wrong is said");
  if (good)
    require(compare_dkim_record({text, text}, ours).state == DkimRecordFinding::State::several,
            "two keys are not one");
  require(compare_dkim_record({ours}, ours).state == DkimRecordFinding::State::good,
          "the relay's own record is good");
}

void fuzz_dkim_canonical(std::string_view input) {
  if (const auto fields = parse_header(input)) {
    for (const HeaderField& field : *fields) {
      const std::string relaxed = relaxed_field(field.raw);
      require(relaxed.find_first_of("\r\n\t") == std::string::npos &&
                  relaxed.find("  ") == std::string::npos && !relaxed.ends_with(' '),
              "a relaxed field is one line with single spaces");
      require(relaxed_field(relaxed) == relaxed, "relaxing twice changes nothing");
    }
  }
  if (!is_clean(input)) return;

  // Line by line, as RFC 6376 section 3.4.4 puts it.
  std::string expected, empty_lines;
  std::string_view rest = input;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(std::min(line.size() + 2, rest.size()));
    std::string relaxed;
    bool space = false;
    for (const char c : line) {
      if (c == ' ' || c == '\t') {
        space = true;
        continue;
      }
      if (space) relaxed += ' ';
      space = false;
      relaxed += c;
    }
    empty_lines += "\r\n";
    if (relaxed.empty()) continue;
    empty_lines.resize(empty_lines.size() - 2);
    expected += std::exchange(empty_lines, {}) + relaxed + "\r\n";
  }
  for (const Chunks& chunks : splits_of(input)) {
    RelaxedBody body;
    std::string out;
    for (const auto chunk : chunks) body.feed(chunk, out);
    body.finish(out);
    require(out == expected, "a body is relaxed however it comes");
  }
}

void fuzz_dsn(std::string_view input) {
  Lines lines(input);
  auto original = std::make_shared<MessageMeta>();
  const std::uint64_t flags = lines.number();
  original->reverse_path = mailbox_of(lines.next());
  original->smtputf8 = (flags & 1) != 0;
  original->dsn_return = static_cast<DsnReturn>((flags >> 1) % 3);
  original->body_size = (flags & 8) != 0 ? 1000 : 0;
  original->tls.requiretls = (flags & 16) != 0;
  original->envelope_id = lines.next();
  original->message_id = lines.next();
  DsnRequest request;
  request.original = original;
  request.kind = static_cast<DsnKind>((flags >> 8) % 4);
  request.hostname = "relay.example";
  request.postmaster = "postmaster@relay.example";
  request.now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21);
  request.original_header = "X-Hostile: " + one_line(lines.next()) + "\r\n";
  for (int i = 0; i < 2; ++i) {
    DsnRecipient recipient;
    recipient.address = mailbox_of(lines.next());
    recipient.dsn.notify = kNotifyFailure | kNotifySuccess | kNotifyDelay;
    recipient.dsn.original_recipient = lines.next().substr(0, kMaxOriginalRecipient);
    recipient.status = lines.next();
    recipient.diagnostic = lines.next();
    recipient.remote_mta = lines.next();
    recipient.explanation = lines.next();
    recipient.policy = lines.next();
    request.recipients.push_back(std::move(recipient));
  }
  for (const bool utf8 : {false, true}) {
    const std::string status = dsn_status(request, request.recipients, utf8);
    require(is_clean(status) && status.ends_with("\r\n"), "a status part is lines");
    require(utf8 ? is_utf8(status) : is_ascii(status), "a status part keeps to its character set");
    for (std::string_view rest = status; !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find("\r\n"));
      require(line.size() <= 998, "a line has at most 998 octets");
      require(line.empty() || begins_field(line), "a status part is fields");
      require(has_no_controls(line), "a status part holds no control characters");
      rest.remove_prefix(line.size() + 2);
    }
  }
  Fixed random(hash_of(input));
  const auto notification = build_dsn(request, random);
  require(notification.has_value(), "who asked for a notification gets one");
  const std::string whole = notification->prefix + notification->suffix;
  require(notification->meta.reverse_path.empty() && notification->meta.is_bounce,
          "a notification comes from nobody");
  require(
      notification->recipients.size() == 1 && notification->recipients[0].address == original->reverse_path,
      "a notification goes to the sender");
  require(is_clean(whole), "a notification holds no bare CR, LF or NUL");
  const std::size_t end = whole.find("\r\n\r\n");
  const auto fields = parse_header(std::string_view(whole).substr(0, end + 2));
  require(fields.has_value(), "a notification has a header");
  for (const char* once : {"From", "To", "Date", "Subject", "Message-ID", "MIME-Version", "Content-Type"})
    require(count_fields(*fields, once) == 1, "a notification has each field once");
  const std::string type(find_field(*fields, "Content-Type")->value());
  const std::size_t quote = type.find("boundary=\"") + 10;
  const std::string boundary = "\r\n--" + type.substr(quote, type.find('"', quote) - quote);
  std::size_t parts = 0;
  for (std::size_t at = 0; (at = whole.find(boundary, at)) != std::string::npos; at += boundary.size())
    ++parts;
  require(parts == 4, "a notification has three parts and an end");
}

}  // namespace holdfast::fuzz
