#include "smtp/server/watched_certificate.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

constexpr Duration kCertificateLookInterval = std::chrono::seconds(5);

TlsVersion min_version_of(const ServerTlsSettings& tls) {
  return tls.min_version == "1.3" ? TlsVersion::tls13 : TlsVersion::tls12;
}

// A private key goes into a file that nobody else can read, from its first octet on.
Result<void> write_private_file(const std::filesystem::path& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return Error(BaseError::io, path.string() + ": " + std::strerror(errno));
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    done += static_cast<std::size_t>(count);
  }
  const int cause = errno;
  const bool closed = ::close(file) == 0;
  if (done == text.size() && closed) return {};
  return Error(BaseError::io, path.string() + ": " + std::strerror(cause));
}

}  // namespace

Result<std::unique_ptr<WatchedCertificate>> WatchedCertificate::open(SettingsPtr settings, Clock& clock,
                                                                     Log& log, Metrics& metrics) {
  std::unique_ptr<WatchedCertificate> certificate(
      new WatchedCertificate(std::move(settings), clock, log, metrics));
  auto loaded = certificate->load();
  if (!loaded) return loaded.error();
  return certificate;
}

std::shared_ptr<const TlsServerContext> WatchedCertificate::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void WatchedCertificate::publish(std::shared_ptr<const TlsServerContext> context) {
  const auto until = std::chrono::duration<double>(context->not_after().time_since_epoch()).count();
  metrics_.set("certificate_expiry_timestamp_seconds", until);
  const std::lock_guard lock(mutex_);
  current_ = std::move(context);
}

std::optional<WatchedCertificate::Mark> WatchedCertificate::mark() const {
  const ServerTlsSettings& tls = settings_->tls;
  std::error_code error;
  Mark mark;
  mark.certificate_time = std::filesystem::last_write_time(tls.certificate, error);
  if (!error) mark.key_time = std::filesystem::last_write_time(tls.private_key, error);
  if (!error) mark.certificate_size = std::filesystem::file_size(tls.certificate, error);
  if (!error) mark.key_size = std::filesystem::file_size(tls.private_key, error);
  if (error) return std::nullopt;
  return mark;
}

bool WatchedCertificate::is_still_to_come() const {
  std::error_code error;
  return !std::filesystem::exists(settings_->tls.certificate, error) && !error;
}

Result<std::shared_ptr<const TlsServerContext>> WatchedCertificate::load_files() const {
  return TlsServerContext::create(settings_->tls.certificate, settings_->tls.private_key,
                                  min_version_of(settings_->tls));
}

Result<std::shared_ptr<const TlsServerContext>> WatchedCertificate::load_self_signed() {
  const auto directory = settings_->data_dir / "tls";
  const auto certificate = directory / "self-signed.pem";
  const auto key = directory / "self-signed.key";
  log_.warning(
      "no certificate is configured or found: clients are shown a self-signed one, which those that verify "
      "will refuse; set tls.certificate and tls.private_key",
      Fields().add("certificate", certificate.string()));
  auto kept = TlsServerContext::create(certificate, key, min_version_of(settings_->tls));
  if (kept && (*kept)->not_after() > clock_.wall()) return kept;
  auto made = make_self_signed(settings_->hostname, clock_.wall());
  if (!made) return made.error();
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  auto written = write_private_file(key, made->private_key_pem);
  if (written) written = write_private_file(certificate, made->certificate_pem);
  // It serves from memory all the same; the next start makes another.
  if (!written)
    log_.warning("the self-signed certificate cannot be kept", Fields().add("why", written.error().text()));
  return TlsServerContext::from_pem(made->certificate_pem, made->private_key_pem,
                                    min_version_of(settings_->tls));
}

Result<void> WatchedCertificate::load() {
  const ServerTlsSettings& tls = settings_->tls;
  std::error_code ignored;
  const bool missing = tls.certificate.empty() || !std::filesystem::exists(tls.certificate, ignored);
  if (missing && tls.if_missing == IfMissing::fail) {
    return Error(BaseError::io, tls.certificate.empty()
                                    ? "tls.certificate is not set, and tls.if_missing is \"fail\""
                                    : "tls.certificate does not exist: " + tls.certificate.string());
  }
  shown_ = mark();
  auto context = missing ? load_self_signed() : load_files();
  if (!context) return context.error();
  publish(std::move(*context));
  return {};
}

void WatchedCertificate::look() {
  const std::lock_guard loading(loading_);
  look_at_files(false);
}

// What could not be loaded is tried again at each look, since chown and chmod, which mend it, change neither
// time nor size of a file; it is told once.
void WatchedCertificate::look_at_files(bool asked) {
  if (settings_->tls.certificate.empty()) return;
  const auto now = mark();
  // Files that vanish for a moment are being replaced.
  if (!asked && (!now || now == shown_)) return;
  auto context = load_files();
  Fields fields;
  fields.add("certificate", settings_->tls.certificate.string());
  if (context) {
    shown_ = now;
    told_.reset();
    fields.add("not_after", static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                                          (*context)->not_after().time_since_epoch())
                                                          .count()));
    publish(std::move(*context));
    fields.add("result", "ok");
  } else {
    Failure failure{now, context.error().text()};
    if (!asked && told_ == failure) return;
    metrics_.counter("certificate_reload_failures_total").add();
    fields.add("result", "kept_old").add("why", failure.why);
    told_ = std::move(failure);
    log_.error("the new certificate cannot be used; the old one stays", fields);
  }
  log_.event("cert_reloaded", fields);
}

void WatchedCertificate::reload(SettingsPtr settings) {
  const std::lock_guard loading(loading_);
  const ServerTlsSettings& before = settings_->tls;
  const ServerTlsSettings& after = settings->tls;
  const bool same = before.certificate == after.certificate && before.private_key == after.private_key &&
                    before.min_version == after.min_version;
  settings_ = std::move(settings);
  if (!same && settings_->tls.certificate.empty()) {
    auto loaded = load();
    if (!loaded) log_.error("the certificate stays as it was", Fields().add("why", loaded.error().text()));
    return;
  }
  // As at the start: the self-signed one goes on until somebody makes the file.
  if (same && !shown_ && settings_->tls.if_missing == IfMissing::self_signed && is_still_to_come()) return;
  look_at_files(true);
}

asio::awaitable<void> WatchedCertificate::watch() {
  while (true) {
    const bool slept = co_await sleep_for(clock_, kCertificateLookInterval);
    if (!slept) co_return;
    look();
  }
}

}  // namespace holdfast
