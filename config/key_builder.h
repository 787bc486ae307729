// config/key_builder.h — binds one key of the schema to one member of a settings struct. For schema_*.cc
// only.
//
// Each builder checks the written type, then the bounds, and says what to write instead.
#pragma once

#include <concepts>
#include <initializer_list>
#include <limits>
#include <utility>

#include "config/schema.h"
#include "config/values.h"

namespace holdfast {

template <class Value>
struct Choice {
  const char* word;
  Value value;
};

template <class Value>
std::string words(const std::vector<Choice<Value>>& choices, const char* between = " | ") {
  std::string out;
  for (const auto& choice : choices) out += (out.empty() ? "" : between) + std::string(choice.word);
  return out;
}

// What is wrong with one element of a list, or "".
using CheckItem = std::function<std::string(const std::string&)>;

std::string wrong_type(const char* expected, const ConfigValue& value);

template <class Part>
class KeyBuilder {
 public:
  std::vector<Key> take() { return std::move(keys_); }

  Key& flag(const char* name, bool Part::*member, bool fallback, const char* sentence) {
    Key& key = add(name, KeyKind::boolean, fallback, "true | false", sentence);
    key.set = [member](void* part, const ConfigValue& value) -> std::string {
      const bool* given = std::get_if<bool>(&value);
      if (!given) return wrong_type("true or false, without quotes", value);
      static_cast<Part*>(part)->*member = *given;
      return "";
    };
    key.get = [member](const void* part) { return ConfigValue(static_cast<const Part*>(part)->*member); };
    return key;
  }

  template <std::integral Number>
  Key& integer(const char* name, Number Part::*member, std::int64_t fallback, std::int64_t least,
               std::int64_t most, const char* sentence) {
    const std::string form = std::to_string(least) + " to " + std::to_string(most);
    Key& key = add(name, KeyKind::integer, fallback, form, sentence);
    key.set = [=](void* part, const ConfigValue& value) -> std::string {
      const auto* given = std::get_if<std::int64_t>(&value);
      if (!given) return wrong_type(("a whole number from " + form + ", without quotes").c_str(), value);
      if (*given < least || *given > most) return std::to_string(*given) + " is out of bounds; write " + form;
      static_cast<Part*>(part)->*member = static_cast<Number>(*given);
      return "";
    };
    key.get = [member](const void* part) {
      return ConfigValue(static_cast<std::int64_t>(static_cast<const Part*>(part)->*member));
    };
    return key;
  }

  // A text that `read` turns into the member (or says what is wrong with it) and `print` turns back.
  template <class Member, class Read, class Print>
  Key& converted(const char* name, Member Part::*member, const char* fallback, std::string form,
                 const char* sentence, Read read, Print print, KeyKind kind = KeyKind::text) {
    Key& key = add(name, kind, std::string(fallback), form, sentence);
    key.set = [=](void* part, const ConfigValue& value) -> std::string {
      const auto* given = std::get_if<std::string>(&value);
      if (!given) return wrong_type(("a text in quotes (" + form + ")").c_str(), value);
      return read(*given, static_cast<Part*>(part)->*member);
    };
    key.get = [=](const void* part) {
      return ConfigValue(std::string(print(static_cast<const Part*>(part)->*member)));
    };
    return key;
  }

  Key& text(const char* name, std::string Part::*member, const char* fallback, const char* form,
            const char* sentence, CheckItem check = nullptr) {
    return converted(
        name, member, fallback, form, sentence,
        [check](const std::string& given, std::string& out) {
          std::string wrong = check && !given.empty() ? check(given) : "";
          if (wrong.empty()) out = given;
          return wrong;
        },
        [](const std::string& value) { return value; });
  }

  Key& path(const char* name, std::filesystem::path Part::*member, const char* fallback, const char* form,
            const char* sentence) {
    return converted(
        name, member, fallback, form, sentence,
        [](const std::string& given, std::filesystem::path& out) { return out = given, std::string(); },
        [](const std::filesystem::path& value) { return value.string(); }, KeyKind::path);
  }

  // A file whose content becomes `member`. The path itself is kept where `keep` says.
  Key& secret_file(const char* name, std::string Part::*member, const char* sentence,
                   std::filesystem::path Part::*keep = nullptr) {
    Key& key = add(name, KeyKind::secret_file, std::string(), "a path", sentence);
    key.set = [keep](void* part, const ConfigValue& value) -> std::string {
      const auto* given = std::get_if<std::string>(&value);
      if (!given) return wrong_type("the path of a file, in quotes", value);
      if (keep) static_cast<Part*>(part)->*keep = *given;
      return "";
    };
    key.set_secret = [member](void* part, std::string content) {
      static_cast<Part*>(part)->*member = std::move(content);
    };
    return key;
  }

  template <class Value>
  Key& choice(const char* name, Value Part::*member, const char* fallback, std::vector<Choice<Value>> choices,
              const char* sentence) {
    return converted(
        name, member, fallback, words(choices), sentence,
        [choices](const std::string& given, Value& out) -> std::string {
          for (const auto& choice : choices)
            if (given == choice.word) return out = choice.value, "";
          return quote_toml(given) + " is not one of " + words(choices, ", ");
        },
        [choices](const Value& value) {
          for (const auto& choice : choices)
            if (choice.value == value) return choice.word;
          return "";
        });
  }

  Key& duration(const char* name, Millis Part::*member, const char* fallback, Millis least, Millis most,
                const char* sentence) {
    const std::string form = print_duration(least) + " to " + print_duration(most);
    return converted(
        name, member, fallback, form, sentence,
        [=](const std::string& given, Millis& out) -> std::string {
          const auto value = parse_duration(given);
          if (!value)
            return quote_toml(given) +
                   " is not a time; write a number and ms, s, m, h, d or w, such as \"5m\"";
          if (*value < least || *value > most) return quote_toml(given) + " is out of bounds; write " + form;
          return out = *value, "";
        },
        print_duration);
  }

  template <std::integral Number>
  Key& size(const char* name, Number Part::*member, const char* fallback, std::uint64_t least,
            std::uint64_t most, const char* sentence) {
    const std::string form = print_size(least) + " to " + print_size(most);
    return converted(
        name, member, fallback, form, sentence,
        [=](const std::string& given, Number& out) -> std::string {
          const auto value = parse_size(given);
          if (!value)
            return quote_toml(given) +
                   " is not a size; write a number and B, KiB, MiB, GiB or TiB, such as \"25MiB\"";
          if (*value < least || *value > most) return quote_toml(given) + " is out of bounds; write " + form;
          return out = static_cast<Number>(*value), "";
        },
        [](Number value) { return print_size(value); });
  }

  Key& rate(const char* name, Rate Part::*member, const char* fallback, const char* sentence) {
    return converted(
        name, member, fallback, "a rate such as \"2000/h\"; \"\" = unlimited", sentence,
        [](const std::string& given, Rate& out) -> std::string {
          const auto value = parse_rate(given);
          if (!value)
            return quote_toml(given) +
                   " is not a rate; write a count and a time, such as \"2000/h\" or \"10/10m\"";
          return out = *value, "";
        },
        print_rate);
  }

  // A list of texts of which each is read by `read(text, element) -> what is wrong` and printed by `print`.
  template <class Element, class Read, class Print>
  Key& list(const char* name, std::vector<Element> Part::*member, std::vector<std::string> fallback,
            const char* form, const char* sentence, Read read, Print print) {
    Key& key = add(name, KeyKind::list, std::move(fallback), form, sentence);
    key.set = [=](void* part, const ConfigValue& value) -> std::string {
      const auto* given = std::get_if<std::vector<std::string>>(&value);
      if (!given) return wrong_type("a list of texts, such as [\"one\", \"two\"]", value);
      std::vector<Element> elements;
      for (const std::string& text : *given) {
        Element element{};
        if (std::string wrong = read(text, element); !wrong.empty()) return wrong;
        elements.push_back(std::move(element));
      }
      static_cast<Part*>(part)->*member = std::move(elements);
      return "";
    };
    key.get = [=](const void* part) {
      std::vector<std::string> texts;
      for (const Element& element : static_cast<const Part*>(part)->*member)
        texts.push_back(std::string(print(element)));
      return ConfigValue(std::move(texts));
    };
    return key;
  }

  Key& texts(const char* name, std::vector<std::string> Part::*member, std::vector<std::string> fallback,
             const char* form, const char* sentence, CheckItem check) {
    return list(
        name, member, std::move(fallback), form, sentence,
        [check](const std::string& given, std::string& out) { return out = given, check(given); },
        [](const std::string& value) { return value; });
  }

  Key& date(const char* name, std::chrono::sys_days Part::*member, const char* sentence) {
    Key& key = add(name, KeyKind::date, OtherValue{}, "a date", sentence);
    key.set = [member](void* part, const ConfigValue& value) -> std::string {
      const auto* text = std::get_if<std::string>(&value);
      const auto* day = std::get_if<std::chrono::sys_days>(&value);
      const auto given = day ? std::optional(*day) : text ? parse_date(*text) : std::nullopt;
      if (!given) return wrong_type("a date, such as 2026-12-01", value);
      static_cast<Part*>(part)->*member = *given;
      return "";
    };
    key.get = [member](const void* part) { return ConfigValue(static_cast<const Part*>(part)->*member); };
    return key;
  }

  Key& add(const char* name, KeyKind kind, ConfigValue fallback, std::string form, const char* sentence) {
    Key key;
    key.name = name;
    key.kind = kind;
    key.fallback = std::move(fallback);
    key.form = std::move(form);
    key.sentence = sentence;
    return keys_.emplace_back(std::move(key));
  }

 private:
  std::vector<Key> keys_;
};

}  // namespace holdfast
