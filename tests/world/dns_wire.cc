#include "tests/world/dns_wire.h"

#include <arpa/inet.h>

#include <map>
#include <sstream>
#include <stdexcept>

namespace holdfast::world {
namespace {

std::uint16_t read16(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                    static_cast<unsigned char>(bytes[at + 1]));
}

void put16(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8 & 0xff);
  out += static_cast<char>(value & 0xff);
}

void put32(std::string& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

std::string unhex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

void put(std::string& out, const DnsRecord& record, const DnsQuery& query) {
  if (record.name == query.name) {
    put16(out, 0xc00c);  // a pointer to the question, as real servers write it
  } else {
    out += wire_name(record.name);
  }
  put16(out, record.type);
  put16(out, 1);  // IN
  put32(out, record.ttl);
  put16(out, record.data.size());
  out += record.data;
}

}  // namespace

std::uint16_t dns_type(std::string_view name) {
  static const std::map<std::string_view, std::uint16_t> types = {
      {"A", kA},   {"NS", kNs},   {"CNAME", kCname}, {"SOA", kSoa},  {"PTR", kPtr},
      {"MX", kMx}, {"TXT", kTxt}, {"AAAA", kAaaa},   {"TLSA", kTlsa}};
  const auto found = types.find(name);
  if (found == types.end()) throw std::invalid_argument("no such record type: " + std::string(name));
  return found->second;
}

std::string lower_name(std::string_view name) {
  std::string lower;
  for (const char c : name) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (!lower.empty() && lower.back() == '.') lower.pop_back();
  return lower;
}

std::string wire_name(std::string_view name) {
  std::string out;
  std::istringstream labels{lower_name(name)};
  for (std::string label; std::getline(labels, label, '.');) {
    if (label.empty() || label.size() > 63) throw std::invalid_argument("bad name: " + std::string(name));
    out += static_cast<char>(label.size());
    out += label;
  }
  out += '\0';
  return out;
}

std::optional<DnsQuery> parse_query(std::string_view message) {
  if (message.size() < 12 || (static_cast<unsigned char>(message[2]) & 0xf8) != 0) return std::nullopt;
  DnsQuery query;
  query.id = read16(message, 0);
  query.recursion_desired = (message[2] & 1) != 0;
  query.checking_disabled = (message[3] & 0x10) != 0;
  query.authentic_wanted = (message[3] & 0x20) != 0;
  if (read16(message, 4) != 1) return std::nullopt;
  std::size_t at = 12;
  for (;;) {
    if (at >= message.size()) return std::nullopt;
    const auto length = static_cast<unsigned char>(message[at++]);
    if (length == 0) break;
    if (length > 63 || at + length > message.size()) return std::nullopt;
    if (!query.name.empty()) query.name += '.';
    query.name += message.substr(at, length);
    at += length;
  }
  if (at + 4 > message.size()) return std::nullopt;
  query.name = lower_name(query.name);
  query.type = read16(message, at);
  query.question = message.substr(12, at + 4 - 12);
  at += 4;
  // The only other record a query may have is OPT: root name, type, payload size, flags with DO.
  if (read16(message, 10) == 1 && at + 11 <= message.size() && message[at] == 0 &&
      read16(message, at + 1) == kOpt) {
    query.edns = true;
    query.payload = std::max<std::size_t>(512, read16(message, at + 3));
    query.dnssec_ok = (message[at + 7] & 0x80) != 0;
  }
  return query;
}

std::string encode(const DnsQuery& query, const DnsAnswer& answer) {
  std::string out;
  put16(out, query.id);
  out += static_cast<char>(0x80 | (answer.truncated ? 2 : 0) | (query.recursion_desired ? 1 : 0));
  // RA is set: the world answers as a recursive resolver. AD only for a client that asked (RFC 6840 5.7).
  const bool authentic = answer.authentic && (query.authentic_wanted || query.dnssec_ok);
  out += static_cast<char>(0x80 | (authentic ? 0x20 : 0) | (query.checking_disabled ? 0x10 : 0) |
                           static_cast<int>(answer.rcode));
  put16(out, 1);
  put16(out, answer.answers.size());
  put16(out, answer.authority.size());
  put16(out, query.edns ? 1 : 0);
  out += query.question;
  for (const auto& record : answer.answers) put(out, record, query);
  for (const auto& record : answer.authority) put(out, record, query);
  if (query.edns) {
    out += '\0';
    put16(out, kOpt);
    put16(out, 1232);
    put32(out, query.dnssec_ok ? 0x8000 : 0);
    put16(out, 0);
  }
  return out;
}

std::string txt_rdata(const std::vector<std::string>& strings) {
  std::string out;
  for (const auto& text : strings) {
    if (text.size() > 255) throw std::invalid_argument("a TXT string has at most 255 octets");
    out += static_cast<char>(text.size());
    out += text;
  }
  return out;
}

std::string rdata(std::uint16_t type, std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string out;
  switch (type) {
    case kA:
    case kAaaa: {
      char address[16];
      if (inet_pton(type == kA ? AF_INET : AF_INET6, std::string(text).c_str(), address) != 1) {
        throw std::invalid_argument("not an address: " + std::string(text));
      }
      return {address, type == kA ? 4u : 16u};
    }
    case kMx: {
      std::size_t preference = 0;
      std::string host;
      if (!(words >> preference >> host)) throw std::invalid_argument("MX is PREFERENCE HOST");
      put16(out, preference);
      return out + wire_name(host == "." ? "" : host);
    }
    case kTxt: {
      std::vector<std::string> strings;
      for (std::size_t at = 0; at == 0 || at < text.size(); at += 255)
        strings.emplace_back(text.substr(at, 255));
      return txt_rdata(strings);
    }
    case kTlsa: {
      int usage = 0, selector = 0, matching = 0;
      std::string data;
      if (!(words >> usage >> selector >> matching >> data)) {
        throw std::invalid_argument("TLSA is USAGE SELECTOR MATCHING HEX");
      }
      out += static_cast<char>(usage);
      out += static_cast<char>(selector);
      out += static_cast<char>(matching);
      return out + unhex(data);
    }
    case kSoa: {
      std::string primary, mailbox;
      std::uint32_t number = 0;
      words >> primary >> mailbox;
      out = wire_name(primary) + wire_name(mailbox);
      for (int i = 0; i < 5; ++i) {
        if (!(words >> number)) throw std::invalid_argument("SOA has five numbers");
        put32(out, number);
      }
      return out;
    }
    default: return wire_name(text);  // NS, CNAME, PTR
  }
}

}  // namespace holdfast::world
