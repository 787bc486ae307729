#include "smtp/tls/tls_engine.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "smtp/tls/openssl.h"

namespace holdfast {
namespace {

constexpr std::size_t kIdleInput =
    4 * 1024;  // what a waiting connection keeps: a small message in one record
constexpr std::size_t kBusyInput = 17 * 1024;  // a whole TLS record
constexpr std::size_t kBulkInput = 66 * 1024;  // four of them, for one call to the system
constexpr std::size_t kKeptOutput = 4 * 1024;
constexpr std::size_t kRecord = 16 * 1024;
constexpr std::size_t kRecordOverhead = 64;  // header, tag, padding, nonce; somewhat more than any has

TlsFailure alert_failure(int alert) {
  TlsFailure failure;
  // protocol_version(70): the peer speaks no version that we may use.
  failure.error = alert == SSL_AD_PROTOCOL_VERSION ? TlsError::version_too_low : TlsError::protocol;
  failure.detail = std::string("the peer sent the alert \"") + SSL_alert_desc_string_long(alert) + "\"";
  failure.code = "alert-" + std::to_string(alert);
  return failure;
}

TlsFailure take_failure() {
  const unsigned long error = ERR_peek_error();  // the earliest is the cause
  const int reason = ERR_GET_REASON(error);
  TlsFailure failure;
  if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
      reason <= SSL_AD_REASON_OFFSET + 255) {
    failure = alert_failure(reason - SSL_AD_REASON_OFFSET);
  } else {
    const char* text = ERR_reason_error_string(error);
    const bool version = ERR_GET_LIB(error) == ERR_LIB_SSL &&
                         (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_VERSION_TOO_LOW);
    failure.error = version ? TlsError::version_too_low : TlsError::protocol;
    failure.detail = text != nullptr ? text : "unknown cause";
  }
  ERR_clear_error();
  return failure;
}

}  // namespace

// The BIO through which OpenSSL reads and writes the engine's buffers.
struct EngineBio {
  static TlsEngine& engine(BIO* bio) { return *static_cast<TlsEngine*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* data, std::size_t size, std::size_t* count) noexcept {
    BIO_clear_retry_flags(bio);
    auto& e = engine(bio);
    const std::size_t available = e.input_end_ - e.input_begin_;
    if (available == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    *count = std::min(size, available);
    std::memcpy(data, e.input_.get() + e.input_begin_, *count);
    e.input_begin_ += *count;
    return 1;
  }

  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* count) noexcept {
    BIO_clear_retry_flags(bio);
    try {
      engine(bio).output_.append(data, size);
    } catch (const std::bad_alloc&) {  // may not pass through C; the step then fails
      return 0;
    }
    *count = size;
    return 1;
  }

  static long control(BIO*, int command, long, void*) noexcept { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static int create(BIO* bio) noexcept {
    BIO_set_init(bio, 1);
    return 1;
  }

  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast");
      if (m == nullptr) throw std::bad_alloc();
      BIO_meth_set_read_ex(m, read);
      BIO_meth_set_write_ex(m, write);
      BIO_meth_set_ctrl(m, control);
      BIO_meth_set_create(m, create);
      return m;
    }();
    return made;
  }
};

void SslDeleter::operator()(SSL* ssl) const { SSL_free(ssl); }

TlsEngine::TlsEngine(SslHandle ssl)
    : input_(std::make_unique_for_overwrite<char[]>(kIdleInput)),
      input_size_(kIdleInput),
      ssl_(std::move(ssl)) {
  if (!ssl_) throw std::bad_alloc();
  BIO* bio = BIO_new(EngineBio::method());
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);  // takes it
}

TlsEngine::Step TlsEngine::outcome(int result) {
  if (result == 1) return Step::done;
  switch (SSL_get_error(ssl(), result)) {
    case SSL_ERROR_WANT_READ: return Step::want_input;
    case SSL_ERROR_ZERO_RETURN: return Step::closed;
    default: failure_ = take_failure(); return Step::failed;
  }
}

// The error queue belongs to the thread: what another connection left there must not be read as ours.
TlsEngine::Step TlsEngine::handshake() {
  ERR_clear_error();
  return outcome(SSL_do_handshake(ssl()));
}

TlsEngine::Step TlsEngine::read(std::span<char> buffer, std::size_t& count) {
  count = 0;
  if (behind_) return *std::exchange(behind_, std::nullopt);
  // Most reads begin with nothing there. OpenSSL would get itself a buffer of a record's size, and wipe it,
  // to find that out.
  const bool nothing_came = input_begin_ == input_end_ && SSL_has_pending(ssl()) == 0;
  if (nothing_came && SSL_get_shutdown(ssl()) == 0) return Step::want_input;
  do {
    ERR_clear_error();
    std::size_t more = 0;
    const Step step = outcome(SSL_read_ex(ssl(), buffer.data() + count, buffer.size() - count, &more));
    if (step != Step::done && count == 0) return step;
    if (step == Step::closed || step == Step::failed) behind_ = step;
    if (step != Step::done) break;
    count += more;
  } while (count < buffer.size() && input_begin_ != input_end_);
  return Step::done;
}

TlsEngine::Step TlsEngine::write(std::string_view data) {
  const std::size_t records = data.size() / kRecord + 1;
  if (data.size() > kKeptOutput) output_.reserve(output_.size() + data.size() + records * kRecordOverhead);
  while (!data.empty()) {
    ERR_clear_error();
    std::size_t written = 0;
    const Step step = outcome(SSL_write_ex(ssl(), data.data(), data.size(), &written));
    if (step == Step::want_input) {  // only a renegotiation would, and there is none
      failure_ = TlsFailure{TlsError::protocol, "the peer asks for a handshake in the middle", {}};
      return Step::failed;
    }
    if (step != Step::done) return step;
    data.remove_prefix(written);
  }
  return Step::done;
}

void TlsEngine::close_notify() {
  ERR_clear_error();
  SSL_shutdown(ssl());
  ERR_clear_error();
}

void TlsEngine::shrink() {
  if (output_.capacity() > kKeptOutput) std::string().swap(output_);
}

std::size_t TlsEngine::next_input_size(std::size_t wanted) const {
  // A read that filled the buffer announces more.
  const bool full = input_end_ == input_size_;
  if (wanted > kBusyInput || (full && input_size_ >= kBusyInput)) return kBulkInput;
  return wanted > kIdleInput || full ? kBusyInput : kIdleInput;
}

std::span<char> TlsEngine::input_space(std::size_t wanted) {
  if (input_begin_ == input_end_) {
    const std::size_t size = next_input_size(wanted);
    if (size != input_size_) {
      input_ = std::make_unique_for_overwrite<char[]>(size);
      input_size_ = size;
    }
    input_begin_ = input_end_ = 0;
  }
  return {input_.get() + input_end_, input_size_ - input_end_};
}

void TlsEngine::input_filled(std::size_t count) { input_end_ += count; }

}  // namespace holdfast
