#include "config/schema.h"

#include <algorithm>

#include "config/schema_keys.h"

namespace holdfast {

namespace {

template <class Part>
Section table(const char* name, Part Settings::*member, const char* sentence, std::vector<Key> keys) {
  Section section;
  section.name = name;
  section.sentence = sentence;
  section.keys = std::move(keys);
  section.size = [](const Settings&) { return std::size_t{1}; };
  section.part = [member](Settings& settings, std::size_t) -> void* { return &(settings.*member); };
  return section;
}

template <class Part>
Section array(const char* name, std::vector<Part> Settings::*member, const char* sentence,
              std::vector<Key> keys) {
  Section section;
  section.name = name;
  section.array = true;
  section.sentence = sentence;
  section.keys = std::move(keys);
  section.size = [member](const Settings& settings) { return (settings.*member).size(); };
  section.append = [member](Settings& settings) { (settings.*member).emplace_back(); };
  section.part = [member](Settings& settings, std::size_t index) -> void* {
    return &(settings.*member)[index];
  };
  return section;
}

std::vector<Section> make_schema() {
  Section top;
  top.sentence = "who this relay is, and where it keeps its data";
  top.keys = top_keys();
  top.size = [](const Settings&) { return std::size_t{1}; };
  top.part = [](Settings& settings, std::size_t) -> void* { return &settings; };
  std::vector<Section> all;
  all.push_back(std::move(top));
  all.push_back(table("runtime", &Settings::runtime, "threads", runtime_keys()));
  all.push_back(array("listener", &Settings::listeners,
                      "where clients submit; without any, one with these defaults", listener_keys()));
  all.push_back(table("tls", &Settings::tls, "what clients are shown", tls_keys()));
  all.push_back(table("trust", &Settings::trust, "whom we believe", trust_keys()));
  all.push_back(table("auth", &Settings::auth, "logging in", auth_keys()));
  all.push_back(array("user", &Settings::users, "who may submit, besides the users file", user_keys()));
  all.push_back(table("limits", &Settings::limits, "what a message may be", limits_keys()));
  all.push_back(table("dns", &Settings::dns, "name resolution", dns_keys()));
  all.push_back(table("egress", &Settings::egress, "where connections may go", egress_keys()));
  all.push_back(table("delivery", &Settings::delivery, "sending", delivery_keys()));
  all.push_back(array("source", &Settings::sources, "addresses that connections leave from", source_keys()));
  all.push_back(array("route", &Settings::routes, "mail that goes another way than its MX", route_keys()));
  all.push_back(
      array("exception", &Settings::exceptions, "the one way to lower a requirement", exception_keys()));
  all.push_back(table("sts", &Settings::sts, "MTA-STS (RFC 8461)", sts_keys()));
  all.push_back(table("dane", &Settings::dane, "DANE (RFC 7672)", dane_keys()));
  all.push_back(table("tlsrpt", &Settings::tlsrpt, "TLS reporting (RFC 8460)", tlsrpt_keys()));
  all.push_back(table("dkim", &Settings::dkim, "DKIM signatures", dkim_keys()));
  all.push_back(table("queue", &Settings::queue, "the store", queue_keys()));
  all.push_back(table("admin", &Settings::admin, "administration", admin_keys()));
  all.push_back(table("log", &Settings::log, "the log, on standard output", log_keys()));
  all.push_back(table("shutdown", &Settings::shutdown, "stopping", shutdown_keys()));
  return all;
}

}  // namespace

const Key* Section::find(std::string_view key) const {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == key; });
  return found == keys.end() ? nullptr : &*found;
}

const std::vector<Section>& schema() {
  static const std::vector<Section> sections = make_schema();
  return sections;
}

const Section* find_section(std::string_view name) {
  const auto& all = schema();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Section& s) { return s.name == name; });
  return found == all.end() ? nullptr : &*found;
}

void set_defaults(const Section& section, void* part) {
  for (const Key& key : section.keys)
    if (!key.required && !std::holds_alternative<OtherValue>(key.fallback)) key.set(part, key.fallback);
}

Settings default_settings() {
  Settings settings;
  for (const Section& section : schema())
    if (!section.array) set_defaults(section, section.part(settings, 0));
  return settings;
}

}  // namespace holdfast
