#include "smtp/wire/command.h"

#include <fmt/format.h>

#include <array>

#include "config/secret.h"
#include "smtp/base/utf8.h"
#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxHelloName = 255;  // RFC 5321 section 4.5.3.1.2

struct VerbName {
  Verb verb;
  std::string_view name;
};

constexpr std::array<VerbName, 14> kVerbs{{
    {Verb::ehlo, "EHLO"},
    {Verb::helo, "HELO"},
    {Verb::mail, "MAIL"},
    {Verb::rcpt, "RCPT"},
    {Verb::data, "DATA"},
    {Verb::bdat, "BDAT"},
    {Verb::rset, "RSET"},
    {Verb::noop, "NOOP"},
    {Verb::quit, "QUIT"},
    {Verb::vrfy, "VRFY"},
    {Verb::expn, "EXPN"},
    {Verb::help, "HELP"},
    {Verb::starttls, "STARTTLS"},
    {Verb::auth, "AUTH"},
}};

Verb verb_of(std::string_view word) {
  for (const VerbName& entry : kVerbs) {
    if (equal_ignoring_case(word, entry.name)) return entry.verb;
  }
  return Verb::unknown;
}

cmd::Bad bad(Verb verb, std::string text) { return {verb, make_reply(501, std::move(text)), false}; }

// A web browser made to speak to a mail port sends one of these first.
bool is_http(std::string_view word) {
  constexpr std::array<std::string_view, 8> kMethods{"GET",     "POST",    "PUT",    "HEAD",
                                                     "OPTIONS", "CONNECT", "DELETE", "PATCH"};
  return std::find(kMethods.begin(), kMethods.end(), word) != kMethods.end();
}

// Names come in every shape (underscores, spaces of host names in local code pages); the name is only
// recorded, so what could break the comment in Received is replaced rather than refused.
Command hello(Verb verb, std::string_view argument) {
  if (argument.empty()) {
    return bad(verb, fmt::format("5.5.4 Say your host name: {} client.example.com", name(verb)));
  }
  if (argument.size() > kMaxHelloName) return bad(verb, "5.5.4 Host name too long");
  std::string shown(argument);
  for (char& c : shown) {
    const bool plain = (to_upper(c) >= 'A' && to_upper(c) <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && std::string_view("._-:[]").find(c) == std::string_view::npos) c = '?';
  }
  return cmd::Hello{verb == Verb::ehlo, std::move(shown)};
}

// Octets of the path at the start of `text`, up to its '>' outside of quotes; npos when it has no end.
std::size_t path_length(std::string_view text) {
  bool in_quotes = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (in_quotes && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_quotes = !in_quotes;
    } else if (!in_quotes && text[i] == '>') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

struct PathAndRest {
  Mailbox path;
  bool ascii = true;
  std::string_view rest;
};

// "FROM:<path> parameters". A space after the colon is common and harmless; RFC 5321 section 4.1.1.2 has
// none.
boost::system::result<PathAndRest, cmd::Bad> split_path(Verb verb, std::string_view argument) {
  const std::string_view tag = verb == Verb::mail ? "FROM:" : "TO:";
  const std::string_view code = verb == Verb::mail ? "5.1.7" : "5.1.3";
  if (!starts_ignoring_case(argument, tag)) {
    return bad(verb, fmt::format("5.5.4 Expected {} {}<user@example.com>", name(verb), tag));
  }
  argument.remove_prefix(tag.size());
  argument.remove_prefix(std::min(argument.find_first_not_of(' '), argument.size()));
  const std::size_t length = path_length(argument);
  if (argument.empty() || argument.front() != '<' || length == std::string_view::npos) {
    return bad(verb, fmt::format("{} The address must stand in angle brackets: {} {}<user@example.com>", code,
                                 name(verb), tag));
  }
  const std::string_view text = argument.substr(0, length);
  const std::string_view rest = argument.substr(length);
  if (!rest.empty() && rest.front() != ' ')
    return bad(verb, "5.5.4 A space must separate the address from its parameters");
  auto path = parse_path(text, verb == Verb::mail);
  if (!path) return bad(verb, fmt::format("{} Bad address: {}", code, path.error().detail));
  return PathAndRest{std::move(*path), is_ascii(text), rest};
}

Command mail(std::string_view argument) {
  auto split = split_path(Verb::mail, argument);
  if (!split) return split.error();
  auto parameters = parse_mail_parameters(split->rest);
  if (!parameters) return cmd::Bad{Verb::mail, parameters.error(), false};
  return cmd::Mail{std::move(split->path), split->ascii, std::move(*parameters)};
}

Command rcpt(std::string_view argument) {
  auto split = split_path(Verb::rcpt, argument);
  if (!split) return split.error();
  auto parameters = parse_rcpt_parameters(split->rest);
  if (!parameters) return cmd::Bad{Verb::rcpt, parameters.error(), false};
  return cmd::Rcpt{std::move(split->path), split->ascii, std::move(*parameters)};
}

Command bdat(std::string_view argument) {
  const auto size = parse_digits(cut_word(argument), 20);  // RFC 3030 section 2
  const std::string_view last = cut_word(argument);
  if (!size || !argument.empty() || (!last.empty() && !equal_ignoring_case(last, "LAST"))) {
    return bad(Verb::bdat, "5.5.4 Expected BDAT <octets> [LAST]");
  }
  return cmd::Bdat{*size, !last.empty()};
}

Command auth(std::string_view argument) {
  const std::string_view mechanism = cut_word(argument);
  const std::string_view initial = cut_word(argument);
  const bool sound = !mechanism.empty() && mechanism.size() <= 20 &&  // RFC 4422 section 3.1
                     std::all_of(mechanism.begin(), mechanism.end(), [](char c) {
                       const char u = to_upper(c);
                       return (u >= 'A' && u <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
                     });
  if (!sound || !argument.empty())
    return bad(Verb::auth, "5.5.4 Expected AUTH <mechanism> [initial response in base64]");
  cmd::Auth command;
  command.mechanism = upper_case(mechanism);
  if (!initial.empty()) command.initial_response = heap_text(initial);
  return command;
}

template <class C>
Command without_argument(Verb verb, std::string_view argument) {
  if (!argument.empty()) return bad(verb, fmt::format("5.5.4 {} takes no argument", name(verb)));
  return C{};
}

template <class C>
Command with_argument(Verb verb, std::string_view argument) {
  if (argument.empty()) return bad(verb, fmt::format("5.5.4 {} needs an argument", name(verb)));
  return C{};
}

}  // namespace

std::string_view name(Verb verb) {
  for (const VerbName& entry : kVerbs) {
    if (entry.verb == verb) return entry.name;
  }
  return "";
}

Verb parse_verb(std::string_view line) { return verb_of(line.substr(0, line.find(' '))); }

Command parse_command(std::string_view line) {
  const std::string_view word = line.substr(0, line.find(' '));
  std::string_view argument = line.substr(word.size());
  argument.remove_prefix(std::min(argument.find_first_not_of(' '), argument.size()));
  argument = argument.substr(0, argument.find_last_not_of(' ') + 1);
  const Verb verb = verb_of(word);
  switch (verb) {
    case Verb::ehlo:
    case Verb::helo: return hello(verb, argument);
    case Verb::mail: return mail(argument);
    case Verb::rcpt: return rcpt(argument);
    case Verb::data: return without_argument<cmd::Data>(verb, argument);
    case Verb::bdat: return bdat(argument);
    case Verb::rset: return without_argument<cmd::Rset>(verb, argument);
    case Verb::noop: return cmd::Noop{};
    case Verb::quit: return without_argument<cmd::Quit>(verb, argument);
    case Verb::vrfy: return with_argument<cmd::Vrfy>(verb, argument);
    case Verb::expn: return with_argument<cmd::Expn>(verb, argument);
    case Verb::help: return cmd::Help{};
    case Verb::starttls: return without_argument<cmd::StartTls>(verb, argument);
    case Verb::auth: return auth(argument);
    case Verb::unknown: break;
  }
  if (is_http(word))
    return cmd::Bad{verb, make_reply(421, "4.7.0 This is a mail server, not a web server"), true};
  return cmd::Bad{verb, make_reply(500, "5.5.2 Command not recognised"), false};
}

}  // namespace holdfast
