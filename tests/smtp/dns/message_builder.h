// tests/smtp/dns/message_builder.h — writes DNS messages, right or wrong ones, octet by octet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/dns/resolver.h"

namespace holdfast {

using Octets = std::vector<std::uint8_t>;

inline Octets u16(unsigned value) {
  return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}
inline Octets u32(std::uint32_t value) {
  Octets out = u16(value >> 16);
  const Octets low = u16(value & 0xffff);
  out.insert(out.end(), low.begin(), low.end());
  return out;
}
inline Octets text(std::string_view value) { return {value.begin(), value.end()}; }
inline Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// "mx.example" as length-prefixed labels; no compression.
inline Octets wire_name(std::string_view name) {
  Octets out;
  while (!name.empty()) {
    const auto label = name.substr(0, name.find('.'));
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  out.push_back(0);
  return out;
}

inline constexpr unsigned kFlagAd = 0x0020;
inline constexpr unsigned kFlagTc = 0x0200;
inline constexpr unsigned kReplyFlags = 0x8180;  // QR, RD, RA

class MessageBuilder {
 public:
  MessageBuilder(std::uint16_t id, std::string_view name, RecordType type, unsigned flags = 0,
                 unsigned rcode = 0)
      : id_(id),
        flags_(kReplyFlags | flags | rcode),
        question_(wire_name(name) + u16(static_cast<unsigned>(type)) + u16(1)) {}

  MessageBuilder& answer(std::string_view owner, RecordType type, std::uint32_t ttl, const Octets& data) {
    return answer(wire_name(owner), static_cast<unsigned>(type), ttl, data);
  }
  MessageBuilder& answer(const Octets& owner, unsigned type, std::uint32_t ttl, const Octets& data) {
    ++answers_;
    records_ = records_ + record(owner, type, ttl, data);
    return *this;
  }
  // An authority section, to be called after the answers.
  MessageBuilder& soa(std::string_view owner, std::uint32_t ttl, std::uint32_t minimum) {
    ++authority_;
    const Octets data =
        wire_name("ns") + wire_name("admin") + u32(1) + u32(2) + u32(3) + u32(4) + u32(minimum);
    records_ = records_ + record(wire_name(owner), 6, ttl, data);
    return *this;
  }
  MessageBuilder& opt(unsigned extended_rcode) {
    ++additional_;
    records_ = records_ + Octets{0} + u16(41) + u16(1232) + u32(extended_rcode << 24) + u16(0);
    return *this;
  }
  Octets build() const {
    return u16(id_) + u16(flags_) + u16(1) + u16(answers_) + u16(authority_) + u16(additional_) + question_ +
           records_;
  }

 private:
  static Octets record(const Octets& owner, unsigned type, std::uint32_t ttl, const Octets& data) {
    return owner + u16(type) + u16(1) + u32(ttl) + u16(static_cast<unsigned>(data.size())) + data;
  }

  unsigned id_, flags_;
  Octets question_, records_;
  unsigned answers_ = 0, authority_ = 0, additional_ = 0;
};

inline Octets a_data(const std::string& ip) {
  const auto bytes = *parse_ip(ip);
  return {bytes.begin() + 12, bytes.end()};
}

}  // namespace holdfast
