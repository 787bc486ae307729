#include "queue/store_record.h"

namespace holdfast {
namespace {

constexpr char kMetaVersion = 1;
constexpr char kRecipientVersion = 1;

class Writer {
 public:
  explicit Writer(char version) : out_(1, version) { out_.reserve(256); }
  void number(std::uint64_t value) {
    while (value >= 0x80) {
      out_ += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    out_ += static_cast<char>(value);
  }
  void time(WallTime at) { number(static_cast<std::uint64_t>(at.time_since_epoch().count())); }
  void text(std::string_view value) {
    number(value.size());
    out_ += value;
  }
  std::string finish() {
    const std::uint32_t sum = checksum(out_);
    for (int shift = 0; shift < 32; shift += 8) out_ += static_cast<char>(sum >> shift);
    return std::move(out_);
  }

 private:
  std::string out_;
};

class Reader {
 public:
  Reader(std::string_view record, char version) {
    if (record.size() < 5) return;
    const std::string_view tail = record.substr(record.size() - 4);
    rest_ = record.substr(0, record.size() - 4);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum |= std::uint32_t{static_cast<std::uint8_t>(tail[i])} << (8 * i);
    good_ = sum == checksum(rest_) && rest_.front() == version;
    rest_.remove_prefix(1);
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto octet = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{octet & 0x7fU} << shift;
      if (octet < 0x80) return value;
    }
    good_ = false;
    return 0;
  }
  WallTime time() { return WallTime(std::chrono::microseconds(static_cast<std::int64_t>(number()))); }
  std::string text() {
    const std::uint64_t size = number();
    if (size > rest_.size()) good_ = false;
    if (!good_) return {};
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  bool good() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = false;
};

constexpr std::uint64_t kSmtpUtf8 = 1, kRequireTls = 2, kTlsRequiredNo = 4, kCountsInTlsrpt = 8,
                        kIsBounce = 16, kEightBit = 32;

std::uint64_t flags_of(const MessageMeta& meta) {
  std::uint64_t flags = 0;
  if (meta.smtputf8) flags |= kSmtpUtf8;
  if (meta.tls.requiretls) flags |= kRequireTls;
  if (meta.tls.tls_required_no) flags |= kTlsRequiredNo;
  if (meta.counts_in_tlsrpt) flags |= kCountsInTlsrpt;
  if (meta.is_bounce) flags |= kIsBounce;
  if (meta.body_type == BodyType::eight_bit) flags |= kEightBit;
  return flags;
}

}  // namespace

std::string encode_meta(const MessageMeta& meta) {
  Writer out(kMetaVersion);
  out.text({reinterpret_cast<const char*>(meta.id.bytes.data()), meta.id.bytes.size()});
  out.text(meta.origin);
  out.text(meta.idempotency_key);
  out.text(meta.user);
  out.text(meta.reverse_path.local_part());
  out.text(meta.reverse_path.domain());
  out.text(meta.envelope_id);
  out.number(static_cast<std::uint64_t>(meta.dsn_return));
  out.number(flags_of(meta));
  out.text(meta.message_id);
  out.text(meta.subject);
  out.time(meta.accepted);
  out.time(meta.release);
  out.time(meta.expires);
  out.number(meta.prefix_size);
  out.number(meta.body_size);
  return out.finish();
}

Result<MessageMeta> decode_meta(std::string_view record) {
  Reader in(record, kMetaVersion);
  MessageMeta meta;
  const std::string id = in.text();
  if (id.size() == meta.id.bytes.size())
    std::copy(id.begin(), id.end(), reinterpret_cast<char*>(meta.id.bytes.data()));
  meta.origin = in.text();
  meta.idempotency_key = in.text();
  meta.user = in.text();
  std::string local = in.text();
  std::string domain = in.text();
  if (!local.empty() || !domain.empty())
    meta.reverse_path = make_mailbox(std::move(local), std::move(domain));
  meta.envelope_id = in.text();
  meta.dsn_return = static_cast<DsnReturn>(in.number());
  const std::uint64_t flags = in.number();
  meta.smtputf8 = (flags & kSmtpUtf8) != 0;
  meta.tls.requiretls = (flags & kRequireTls) != 0;
  meta.tls.tls_required_no = (flags & kTlsRequiredNo) != 0;
  meta.counts_in_tlsrpt = (flags & kCountsInTlsrpt) != 0;
  meta.is_bounce = (flags & kIsBounce) != 0;
  meta.body_type = (flags & kEightBit) != 0 ? BodyType::eight_bit : BodyType::seven_bit;
  meta.message_id = in.text();
  meta.subject = in.text();
  meta.accepted = in.time();
  meta.release = in.time();
  meta.expires = in.time();
  meta.prefix_size = in.number();
  meta.body_size = in.number();
  if (!in.good() || id.size() != meta.id.bytes.size())
    return Error(StoreError::damaged, "record of a message");
  return meta;
}

std::string encode_recipient(const NewRecipient& recipient) {
  Writer out(kRecipientVersion);
  out.text(recipient.address.local_part());
  out.text(recipient.address.domain());
  out.number(recipient.dsn.notify);
  out.text(recipient.dsn.original_recipient);
  return out.finish();
}

Result<NewRecipient> decode_recipient(std::string_view record) {
  Reader in(record, kRecipientVersion);
  std::string local = in.text();
  std::string domain = in.text();
  NewRecipient recipient;
  recipient.dsn.notify = static_cast<std::uint8_t>(in.number());
  recipient.dsn.original_recipient = in.text();
  if (!in.good()) return Error(StoreError::damaged, "record of a recipient");
  recipient.address = make_mailbox(std::move(local), std::move(domain));
  return recipient;
}

}  // namespace holdfast
