// smtp/wire: what a client or a server says.
#include <algorithm>

#include "smtp/base/domain_name.h"
#include "smtp/base/utf8.h"
#include "smtp/wire/ascii.h"
#include "smtp/wire/base64.h"
#include "smtp/wire/command.h"
#include "smtp/wire/content_check.h"
#include "smtp/wire/data_decoder.h"
#include "smtp/wire/dot_stuffer.h"
#include "smtp/wire/line_buffer.h"
#include "smtp/wire/reply.h"
#include "smtp/wire/xtext.h"
#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {
namespace {

// A reply that we send or quote: whatever is in it, each line is one line of at most 512 octets.
void require_sound(const Reply& reply) {
  require(reply.code >= 200 && reply.code <= 599, "a reply has a code from 200 to 599");
  const std::string wire = reply.wire();
  require(wire.ends_with("\r\n"), "a reply ends in CRLF");
  std::size_t lines = 0;
  for (std::string_view rest = wire; !rest.empty(); ++lines) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    require(line.size() + 2 <= 512, "a reply line has at most 512 octets");
    require(has_no_controls(line), "a reply line holds no control characters");
    rest.remove_prefix(line.size() + 2);
  }
  require(lines == std::max<std::size_t>(reply.text.size(), 1), "a reply has the lines that it was given");
  const std::string summary = reply.summary();
  require(has_no_controls(summary) && is_utf8(summary) && summary.size() <= 512,
          "a summary is one short line");
}

// What the rule says of content, by searching rather than by a state machine.
std::optional<WireError> first_violation(std::string_view content) {
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\0') return WireError::nul;
    if (content[i] == '\n' && (i == 0 || content[i - 1] != '\r')) return WireError::bare_lf;
    if (content[i] == '\r' && (i + 1 == content.size() || content[i + 1] != '\n')) return WireError::bare_cr;
  }
  return std::nullopt;
}

struct Event {
  std::string text;
  bool error = false;
  bool operator==(const Event&) const = default;
};

Event event_of(const Result<std::optional<std::string_view>>& line) {
  return line ? Event{std::string(**line), false} : Event{line.error().text(), true};
}

}  // namespace

void fuzz_reply(std::string_view input) {
  const std::string clean = sanitise(input);
  require(sanitise(clean) == clean, "sanitising twice changes nothing");
  require(is_utf8(clean) && has_no_controls(clean) && clean.size() <= 512, "sanitised text is harmless");

  LineBuffer buffer(kMaxReplyLine);
  buffer.append(input);
  ReplyParser parser;
  while (buffer.has_line()) {
    const auto line = buffer.next();
    if (!line) return;
    auto reply = parser.feed(**line);
    if (!reply) return;
    if (!*reply) continue;
    const Reply& whole = **reply;
    require(!whole.text.empty() && whole.text.size() <= kMaxReplyLines, "a reply has 1 to 128 lines");
    require_sound(whole);
    if (const auto status = whole.enhanced())
      require(status->status_class == whole.code / 100, "the enhanced code agrees with the code");

    ReplyParser again;
    std::optional<Reply> copy;
    const std::string wire = whole.wire();
    for (std::string_view rest = wire; !rest.empty();) {
      require(!copy, "the last line of a reply comes last");
      const std::string_view text = rest.substr(0, rest.find("\r\n"));
      auto fed = again.feed(text);
      require(fed.has_value(), "a reply that we write can be read");
      copy = std::move(*fed);
      rest.remove_prefix(text.size() + 2);
    }
    require(copy && copy->code == whole.code && copy->text.size() == whole.text.size(),
            "a reply that we write is the reply that we read");
  }
}

void fuzz_command(std::string_view input) {
  const std::string line = one_line(input);
  const Command command = parse_command(line);
  const Verb verb = parse_verb(line);
  const auto is = [&](Verb expected) { require(verb == expected, "a command is that of its verb"); };
  if (const auto* bad = std::get_if<cmd::Bad>(&command)) {
    require(bad->reply.code >= 400, "what is no command is refused");
    require(bad->reply.enhanced().has_value(), "a refusal has an enhanced code");
    require_sound(bad->reply);
  } else if (const auto* hello = std::get_if<cmd::Hello>(&command)) {
    is(hello->extended ? Verb::ehlo : Verb::helo);
    require(!hello->name.empty() && hello->name.size() <= 255 && is_ascii(hello->name) &&
                has_no_controls(hello->name) && hello->name.find_first_of("() \\\"") == std::string::npos,
            "a host name may stand in a Received field");
  } else if (const auto* mail = std::get_if<cmd::Mail>(&command)) {
    is(Verb::mail);
    const auto& given = mail->parameters;
    require(!(given.hold_for && given.hold_until), "a message is held in one way");
    const auto id = xtext_decode(given.envelope_id);
    require(id && has_no_controls(*id) && is_ascii(*id), "ENVID is xtext of printable ASCII");
    if (given.auth)
      require(*given.auth == "<>" || Mailbox::parse(*given.auth).has_value(), "AUTH= is an address");
    const std::string path = mail->reverse_path.empty() ? "" : mail->reverse_path.text();
    const Command again = parse_command("MAIL FROM:<" + path + ">");
    const auto* copy = std::get_if<cmd::Mail>(&again);
    require(copy && copy->reverse_path == mail->reverse_path, "a reverse-path can be written and read again");
  } else if (const auto* rcpt = std::get_if<cmd::Rcpt>(&command)) {
    is(Verb::rcpt);
    const auto& dsn = rcpt->parameters.dsn;
    require((dsn.notify & kNotifyNever) == 0 || dsn.notify == kNotifyNever, "NEVER stands alone");
    require(has_no_controls(dsn.original_recipient) && is_utf8(dsn.original_recipient) &&
                dsn.original_recipient.find(' ') == std::string::npos,
            "ORCPT is one word");
    const auto& path = rcpt->forward_path;
    const std::string text = path.domain().empty() ? "<Postmaster>" : "<" + path.text() + ">";
    const Command again = parse_command("RCPT TO:" + text);
    const auto* copy = std::get_if<cmd::Rcpt>(&again);
    require(copy && copy->forward_path == path, "a forward-path can be written and read again");
  } else if (const auto* auth = std::get_if<cmd::Auth>(&command)) {
    is(Verb::auth);
    require(!auth->mechanism.empty() && auth->mechanism.size() <= 20 &&
                upper_case(auth->mechanism) == auth->mechanism,
            "a mechanism is a short word in upper case");
  } else if (std::holds_alternative<cmd::Bdat>(command)) {
    is(Verb::bdat);
  } else if (std::holds_alternative<cmd::StartTls>(command)) {
    is(Verb::starttls);
  } else if (std::holds_alternative<cmd::Data>(command)) {
    is(Verb::data);
  }
}

void fuzz_address(std::string_view input) {
  if (const auto name = DomainName::parse(input)) {
    const std::string& text = name->text();
    require(!text.empty() && text.size() <= 253 && is_ascii(text) && lower_case(text) == text &&
                text.back() != '.',
            "a domain name is in A-labels, lower case");
    const auto again = DomainName::parse(text);
    require(again && *again == *name, "a domain name is read as it is written");
    require(name->is_within(*name), "a name is within itself");
  }
  if (const auto mailbox = Mailbox::parse(input)) {
    const std::string text = mailbox->text();
    require(text.size() <= kMaxPath - 2 && mailbox->local_part().size() <= kMaxLocalPart,
            "a mailbox keeps the limits");
    require(has_no_controls(text) && is_utf8(text), "a mailbox holds no control characters");
    const auto again = Mailbox::parse(text);
    require(again && *again == *mailbox, "a mailbox is read as it is written");
    const auto path = parse_path("<" + text + ">", false);
    require(path && *path == *mailbox, "a mailbox is a path");
  }
  for (const bool null_allowed : {false, true}) {
    const auto path = parse_path(input, null_allowed);
    if (!path || path->domain().empty()) continue;
    const auto again = parse_path("<" + path->text() + ">", null_allowed);
    require(again && *again == *path, "a path is read as it is written");
  }
}

void fuzz_data(std::string_view input) {
  // The second parser: the end is the first CRLF.CRLF, where a CRLF stands before it all; each line loses one
  // dot.
  const std::string framed = "\r\n" + std::string(input);
  const std::size_t end = framed.find("\r\n.\r\n");
  const bool ends = end != std::string::npos;
  std::string expected;
  for (std::size_t i = 2; i < (ends ? end + 2 : framed.size()); ++i) {
    const bool at_line_start = framed[i - 2] == '\r' && framed[i - 1] == '\n';
    if (at_line_start && framed[i] == '.') continue;
    expected += framed[i];
  }
  const std::size_t used = ends ? end + 3 : input.size();
  for (const Chunks& chunks : splits_of(input)) {
    DataDecoder decoder;
    std::string content;
    std::size_t taken = 0;
    for (const auto chunk : chunks) {
      if (decoder.finished()) break;
      const std::size_t count = decoder.decode(chunk, content);
      require(count == chunk.size() || decoder.finished(), "DATA goes on until its end");
      taken += count;
    }
    require(decoder.finished() == ends, "only CRLF.CRLF ends DATA");
    require(taken == used, "what is behind the end is the next command");
    if (!ends) {
      // A CR behind a dot is held until it is clear what it was.
      require(expected.starts_with(content) && expected.size() - content.size() <= 1,
              "content is what was sent");
      continue;
    }
    require(content == expected, "content is what was sent, a dot taken off each line");
    require(decoder.check().violation() == first_violation(content), "every bare CR, LF and NUL is noticed");
  }
}

void fuzz_dot_stuffing(std::string_view input) {
  const auto violation = first_violation(input);
  std::optional<std::string> first;
  for (const Chunks& chunks : splits_of(input)) {
    DotStuffer stuffer;
    std::string sent;
    Result<void> done = Result<void>();
    for (const auto chunk : chunks) {
      done = stuffer.stuff(chunk, sent);
      if (!done) break;
    }
    if (done) done = stuffer.finish(sent);
    require(done.has_value() == !violation.has_value(), "content with a bare CR, LF or NUL is never sent");
    if (!done) continue;
    if (!first) first = sent;
    require(*first == sent, "chunks do not matter");
    require(("\r\n" + sent).find("\r\n.\r\n") == sent.size() - 3, "CRLF.CRLF stands once, at the end");

    DataDecoder decoder;
    std::string content;
    require(decoder.decode(sent, content) == sent.size() && decoder.finished(), "what is sent can be read");
    const bool whole = input.empty() || input.ends_with("\r\n");
    require(content == std::string(input) + (whole ? "" : "\r\n"), "what is read is what was to be sent");
  }
}

// A session that pipelines: commands by line, and behind each BDAT as many octets as it says.
void fuzz_bdat(std::string_view input) {
  std::optional<std::vector<Event>> first;
  for (const Chunks& chunks : splits_of(input)) {
    LineBuffer buffer(64);
    std::vector<Event> events;
    std::uint64_t wanted = 0;
    std::string chunk_of_content;
    bool last = false;
    std::size_t given = 0;
    for (const auto chunk : chunks) {
      buffer.append(chunk);
      for (;;) {
        if (wanted > 0) {
          std::string part = buffer.take(static_cast<std::size_t>(std::min<std::uint64_t>(wanted, SIZE_MAX)));
          wanted -= part.size();
          given += part.size();
          chunk_of_content += part;
          if (wanted > 0) break;
          events.push_back({std::exchange(chunk_of_content, {}), last});
          continue;
        }
        if (!buffer.has_line()) break;
        const auto line = buffer.next();
        events.push_back(event_of(line));
        if (!line) continue;
        const Command command = parse_command(**line);
        if (const auto* bdat = std::get_if<cmd::Bdat>(&command)) {
          wanted = bdat->size;
          last = bdat->last;
        }
      }
    }
    events.push_back({chunk_of_content, wanted > 0});
    if (!first) first = events;
    require(*first == events, "commands and chunks do not depend on how they come");
    require(given <= input.size(), "no octet comes twice");
  }
}

void fuzz_lines(std::string_view input) {
  constexpr std::size_t kLimit = 32;
  // The second reader: cut at each CRLF.
  std::vector<Event> expected;
  std::string_view rest = input;
  for (std::size_t end; (end = rest.find("\r\n")) != std::string_view::npos; rest.remove_prefix(end + 2)) {
    const std::string_view line = rest.substr(0, end);
    const std::size_t bad = line.find_first_of(std::string_view("\r\n\0", 3));
    if (line.size() > kLimit) {
      expected.push_back({"too long", true});
    } else if (bad != std::string_view::npos) {
      expected.push_back({line[bad] == '\r' ? "cr" : line[bad] == '\n' ? "lf" : "nul", true});
    } else {
      expected.push_back({std::string(line), false});
    }
  }
  if (rest.size() - (rest.ends_with('\r') ? 1 : 0) > kLimit) expected.push_back({"too long", true});

  for (const Chunks& chunks : splits_of(input)) {
    LineBuffer buffer(kLimit);
    std::vector<Event> events;
    for (const auto chunk : chunks) {
      buffer.append(chunk);
      while (buffer.has_line()) {
        const auto line = buffer.next();
        if (line) {
          events.push_back({std::string(**line), false});
          continue;
        }
        const Error& error = line.error();
        events.push_back({error.is(WireError::line_too_long) ? "too long"
                          : error.is(WireError::bare_cr)     ? "cr"
                          : error.is(WireError::bare_lf)     ? "lf"
                                                             : "nul",
                          true});
      }
      require(buffer.rest().size() <= kLimit + 1 + chunk.size(), "memory stays bounded");
    }
    require(events == expected, "lines end at CRLF and nowhere else");
  }
}

void fuzz_content_check(std::string_view input) {
  std::size_t longest = 0;
  for (std::string_view rest = input;;) {
    const std::size_t end = rest.find("\r\n");
    longest = std::max(longest, end == std::string_view::npos ? rest.size() : end);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 2);
  }
  const auto expected = first_violation(input);
  for (const Chunks& chunks : splits_of(input)) {
    ContentCheck check;
    for (const auto chunk : chunks) check.feed(chunk);
    check.finish();
    require(check.violation() == expected, "every bare CR, LF and NUL is noticed, the first one kept");
    if (!expected) {
      require(check.longest_line() == longest, "the longest line is measured");
      require(check.at_line_start() == (input.empty() || input.ends_with("\r\n")),
              "the last line end is known");
    }
  }
}

void fuzz_encodings(std::string_view input) {
  const std::string xtext = xtext_encode(input);
  const auto plain = xtext_decode(xtext);
  require(plain && *plain == input, "xtext is read as it is written");
  require(is_ascii(xtext) && has_no_controls(xtext) && xtext.find_first_of(" =") == std::string::npos,
          "xtext is one printable word");
  if (const auto decoded = xtext_decode(input))
    require(xtext_decode(xtext_encode(*decoded)) == *decoded, "xtext of any writer is understood");

  const std::string base64 = base64_encode(input);
  const auto octets = base64_decode(base64);
  require(octets && *octets == input, "base64 is read as it is written");
  if (const auto decoded = base64_decode(input))
    require(base64_encode(*decoded) == input, "one text for one value");
  if (const auto status = EnhancedStatus::parse(input))
    require(EnhancedStatus::parse(status->text()) == status, "an enhanced code is read as it is written");
}

}  // namespace holdfast::fuzz
