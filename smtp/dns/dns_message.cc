#include "smtp/dns/dns_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxNameOctets = 255;  // RFC 1035 section 2.3.4
constexpr unsigned kClassIn = 1;
constexpr unsigned kTypeOpt = 41;
constexpr unsigned kNoError = 0;
constexpr unsigned kNxDomain = 3;

// Reads forward; every read fails, once and for all, when the octets are used up.
class Reader {
 public:
  Reader(std::span<const std::uint8_t> message, std::size_t at, std::size_t end)
      : message_(message), at_(at), end_(end) {}

  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }
  std::size_t position() const { return at_; }

  unsigned u8() { return ok_ && need(1) ? message_[at_++] : 0U; }
  unsigned u16() {
    const unsigned high = u8();
    return high << 8 | u8();
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
  std::string octets(std::size_t count) {
    if (!ok_ || !need(count)) return {};
    std::string out(message_.begin() + static_cast<std::ptrdiff_t>(at_),
                    message_.begin() + static_cast<std::ptrdiff_t>(at_ + count));
    at_ += count;
    return out;
  }
  void skip(std::size_t count) {
    if (ok_ && need(count)) at_ += count;
  }
  Reader part(std::size_t count) {  // and skips it
    const std::size_t begin = at_;
    skip(count);
    return Reader(message_, begin, ok_ ? begin + count : begin);
  }

  // Lower case, no trailing dot, "" for the root. What a host name cannot hold comes as \DDD, so that a dot
  // inside a label is not taken for one between labels.
  std::string name() {
    std::string out;
    std::size_t octets_seen = 0;
    std::size_t from = at_;
    std::size_t limit = end_;    // of the part being read
    std::size_t earliest = at_;  // pointers must lead before this, hence end
    bool jumped = false;
    for (;;) {
      if (!ok_ || from >= limit) return fail();
      const unsigned length = message_[from++];
      if ((length & 0xc0) == 0xc0) {
        if (from >= limit) return fail();
        const std::size_t target = (length & 0x3fU) << 8 | message_[from++];
        if (!jumped) at_ = from;
        jumped = true;
        if (target >= earliest) return fail();
        earliest = from = target;
        limit = message_.size();
        continue;
      }
      if ((length & 0xc0) != 0) return fail();
      if (length == 0) break;
      octets_seen += length + 1;
      if (octets_seen + 1 > kMaxNameOctets || length > limit - from) return fail();
      if (!out.empty()) out += '.';
      for (std::size_t i = 0; i < length; ++i) append(out, message_[from + i]);
      from += length;
    }
    if (!jumped) at_ = from;
    return out;
  }

 private:
  bool need(std::size_t count) {
    if (count > end_ - at_) ok_ = false;
    return ok_;
  }
  std::string fail() {
    ok_ = false;
    return {};
  }
  static void append(std::string& out, unsigned octet) {
    const char c = static_cast<char>(octet);
    if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c - 'A' + 'a');
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
      out += c;
    } else {
      out += fmt::format("\\{:03}", octet);
    }
  }

  std::span<const std::uint8_t> message_;
  std::size_t at_, end_;
  bool ok_ = true;
};

struct Record {
  std::string owner;
  unsigned type = 0;
  std::uint32_t ttl = 0;
  Reader data;
};

std::optional<Record> read_record(Reader& reader) {
  std::string owner = reader.name();
  const unsigned type = reader.u16();
  const unsigned record_class = reader.u16();
  std::uint32_t ttl = reader.u32();
  const Reader data = reader.part(reader.u16());
  if (!reader.ok()) return std::nullopt;
  if (type != kTypeOpt) {
    if (record_class != kClassIn) return std::nullopt;
    if (ttl > 0x7fffffff) ttl = 0;  // RFC 2181 section 8
  }
  return Record{std::move(owner), type, ttl, data};
}

std::optional<RecordData> read_data(RecordType type, Reader data) {
  std::optional<RecordData> out;
  switch (type) {
    case RecordType::a: {
      IpBytes ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
      for (std::size_t i = 12; i < 16; ++i) ip[i] = static_cast<std::uint8_t>(data.u8());
      out = ip;
      break;
    }
    case RecordType::aaaa: {
      IpBytes ip{};
      for (auto& octet : ip) octet = static_cast<std::uint8_t>(data.u8());
      out = ip;
      break;
    }
    case RecordType::mx: {
      MxRecord mx;
      mx.preference = static_cast<std::uint16_t>(data.u16());
      mx.exchange = data.name();
      out = std::move(mx);
      break;
    }
    case RecordType::tlsa: {
      TlsaRecord tlsa;
      tlsa.usage = static_cast<std::uint8_t>(data.u8());
      tlsa.selector = static_cast<std::uint8_t>(data.u8());
      tlsa.matching_type = static_cast<std::uint8_t>(data.u8());
      while (data.ok() && !data.done()) tlsa.data += static_cast<char>(data.u8());
      out = std::move(tlsa);
      break;
    }
    case RecordType::txt: {
      std::string text;
      do {
        text += data.octets(data.u8());
      } while (data.ok() && !data.done());
      out = std::move(text);
      break;
    }
    case RecordType::ptr:
    case RecordType::cname: out = data.name(); break;
    case RecordType::soa: {
      std::string server = data.name();
      data.name();
      data.skip(20);
      out = std::move(server);
      break;
    }
  }
  if (!data.ok() || !data.done()) return std::nullopt;
  return out;
}

// RFC 2308 section 5: the smaller of the SOA's own TTL and its MINIMUM field.
std::optional<std::uint32_t> negative_ttl(const Record& soa) {
  Reader data = soa.data;
  data.name();
  data.name();
  data.skip(16);
  const std::uint32_t minimum = data.u32();
  if (!data.ok() || !data.done()) return std::nullopt;
  return std::min(soa.ttl, minimum);
}

Error malformed(const char* why) { return Error(BaseError::malformed, why); }

struct Sections {
  std::vector<Record> answers;
  std::optional<std::uint32_t> negative_ttl;  // set when the authority section has a SOA
  unsigned extended_rcode = 0;
};

std::optional<Sections> read_sections(Reader& reader, std::size_t answers, std::size_t authority,
                                      std::size_t additional) {
  Sections sections;
  for (std::size_t i = 0; i < answers; ++i) {
    auto record = read_record(reader);
    if (!record) return std::nullopt;
    sections.answers.push_back(std::move(*record));
  }
  for (std::size_t i = 0; i < authority; ++i) {
    const auto record = read_record(reader);
    if (!record) return std::nullopt;
    if (record->type != static_cast<unsigned>(RecordType::soa)) continue;
    sections.negative_ttl = negative_ttl(*record);
    if (!sections.negative_ttl) return std::nullopt;
  }
  for (std::size_t i = 0; i < additional; ++i) {
    const auto record = read_record(reader);
    if (!record) return std::nullopt;
    if (record->type == kTypeOpt) sections.extended_rcode = record->ttl >> 24;  // RFC 6891 section 6.1.3
  }
  return sections;
}

// Follows the aliases and takes the records at their end. False: a record is malformed.
bool follow(const Sections& sections, RecordType type, bool exists, DnsReply& reply) {
  std::uint32_t ttl = 0x7fffffff;
  for (;;) {
    for (const auto& record : sections.answers) {
      if (record.owner != reply.name || record.type != static_cast<unsigned>(type)) continue;
      auto data = read_data(type, record.data);
      if (!data) return false;
      reply.records.push_back(std::move(*data));
      ttl = std::min(ttl, record.ttl);
    }
    if (!reply.records.empty()) break;
    const auto alias =
        std::find_if(sections.answers.begin(), sections.answers.end(), [&](const Record& record) {
          return record.owner == reply.name && record.type == static_cast<unsigned>(RecordType::cname);
        });
    if (alias == sections.answers.end()) break;
    auto target = read_data(RecordType::cname, alias->data);
    if (!target) return false;
    if (++reply.aliases > kMaxCnameHops) {
      reply.status = DnsStatus::cname_limit;
      return true;
    }
    reply.name = std::get<std::string>(std::move(*target));
    ttl = std::min(ttl, alias->ttl);
  }
  if (!reply.records.empty()) {
    reply.status = DnsStatus::ok;
  } else {
    reply.status = exists ? DnsStatus::no_data : DnsStatus::nx_domain;
    reply.unfinished = exists && reply.aliases > 0 && !sections.negative_ttl;
    ttl = std::min(ttl, sections.negative_ttl.value_or(0));  // without a SOA it is not to be cached
  }
  reply.ttl = std::chrono::seconds(ttl);
  return true;
}

}  // namespace

Result<DnsReply> parse_reply(std::span<const std::uint8_t> message, std::uint16_t id, std::string_view name,
                             RecordType type) {
  Reader reader(message, 0, message.size());
  const unsigned answered_id = reader.u16();
  const unsigned flags = reader.u16();
  const unsigned questions = reader.u16();
  const std::size_t answers = reader.u16();
  const std::size_t authority = reader.u16();
  const std::size_t additional = reader.u16();
  if (!reader.ok()) return malformed("shorter than a header");
  if (answered_id != id) return malformed("the answer to another query");
  if ((flags & 0x8000) == 0 || (flags & 0x7800) != 0) return malformed("not an answer to a query");

  DnsReply reply;
  reply.truncated = (flags & 0x0200) != 0;
  reply.authenticated = (flags & 0x0020) != 0;
  reply.name = name;
  const unsigned rcode = flags & 0x000f;
  // Servers that understand nothing of a query may leave the question out of their refusal.
  if (questions == 0 && rcode != kNoError && rcode != kNxDomain) return reply;
  if (questions != 1) return malformed("not exactly one question");
  const std::string asked = reader.name();
  const unsigned asked_type = reader.u16();
  const unsigned asked_class = reader.u16();
  if (!reader.ok() || asked != name || asked_type != static_cast<unsigned>(type) || asked_class != kClassIn) {
    return malformed("the answer to another question");
  }
  if (reply.truncated) return reply;

  const auto sections = read_sections(reader, answers, authority, additional);
  if (!sections) return malformed("a record that is cut off or not of class IN");
  if (sections->extended_rcode != 0 || (rcode != kNoError && rcode != kNxDomain)) return reply;
  if (!follow(*sections, type, rcode == kNoError, reply))
    return malformed("a record whose data breaks its format");
  return reply;
}

}  // namespace holdfast
