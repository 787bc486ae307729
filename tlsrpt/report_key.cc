#include "tlsrpt/report_key.h"

namespace holdfast {

std::string dkim_public_key(std::string_view record) {
  while (!record.empty()) {
    std::string tag;
    const auto field = record.substr(0, record.find(';'));
    record.remove_prefix(std::min(record.size(), field.size() + 1));
    for (const char c : field) {
      if (c != ' ' && c != '\t' && c != '\r' && c != '\n') tag += c;
    }
    if (tag.starts_with("p=")) return tag.substr(2);
  }
  return "";
}

asio::awaitable<std::string> why_key_is_not_found(Resolver& resolver, KeyRecord record) {
  const std::string wanted = dkim_public_key(record.value);
  const auto answer = co_await resolver.query(record.name, RecordType::txt);
  if (is_unknown(answer.status)) co_return record.name + ": " + describe(answer.status);
  bool other = false;
  for (const auto& data : answer.records) {
    const auto* text = std::get_if<std::string>(&data);
    if (text == nullptr) continue;
    if (dkim_public_key(*text) == wanted) co_return "";
    other = true;
  }
  if (other) co_return record.name + " holds another key";
  co_return "there is no TXT record at " + record.name;
}

}  // namespace holdfast
