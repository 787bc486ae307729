// smtp/dns/dns_message.h — reads the answer to one DNS question. RFC 1035 section 4, RFC 6891, RFC 2308.
// Pure.
//
// c-ares 1.18 neither shows the AD bit nor knows TLSA, so answers are read here, from the octets. They come
// from a network: every length is checked, compression pointers only ever lead backwards.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.h"
#include "smtp/dns/resolver.h"

namespace holdfast {

struct DnsReply {
  DnsStatus status = DnsStatus::server_failure;
  bool truncated = false;       // TC: nothing else is to be believed
  bool authenticated = false;   // AD
  std::chrono::seconds ttl{0};  // smallest of aliases and records; negative: RFC 2308 section 5
  std::string name;             // the end of the chain of aliases in this message
  int aliases = 0;              // how many were followed
  // The chain ends in an alias whose target this message says nothing about: ask for `name`.
  bool unfinished = false;
  std::vector<RecordData> records;
};

// BaseError::malformed: not the answer to this question, or not a DNS message. `name` as Resolver::query
// takes it.
Result<DnsReply> parse_reply(std::span<const std::uint8_t> message, std::uint16_t id, std::string_view name,
                             RecordType type);

}  // namespace holdfast
