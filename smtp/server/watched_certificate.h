// smtp/server/watched_certificate.h — the certificate from its files, followed as they change.
//
// A pair that cannot be loaded (half written, key of another certificate, expired file system) leaves the old
// one in use, with a log line and a metric, and is tried again at each look. Where no certificate is
// configured, or its file does not exist yet, a self-signed one is made once and kept in data_dir, loudly:
// clients that verify will refuse it.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "config/settings.h"
#include "smtp/base/clock.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/server/server_tls.h"

namespace holdfast {

// Thread-safe. `clock`, `log` and `metrics` outlive it.
class WatchedCertificate final : public ServerTls {
 public:
  // An Error when nothing can be shown: a pair that is there but bad, or none and `if_missing` is fail.
  static Result<std::unique_ptr<WatchedCertificate>> open(SettingsPtr settings, Clock& clock, Log& log,
                                                          Metrics& metrics);

  std::shared_ptr<const TlsServerContext> current() const override;

  // Looks at the files every few seconds until cancelled.
  asio::awaitable<void> watch();
  // Looks now. Blocks for a file read.
  void look();
  // A new configuration, or the same: the files are read whatever their times say, and a failure is told
  // again. A bad pair keeps the old one; a file that was not there at the start either, and need not be, is
  // no failure. Blocks likewise.
  void reload(SettingsPtr settings);

 private:
  struct Mark {
    std::filesystem::file_time_type certificate_time, key_time;
    std::uintmax_t certificate_size = 0, key_size = 0;
    bool operator==(const Mark&) const = default;
  };

  struct Failure {
    std::optional<Mark> files;
    std::string why;
    bool operator==(const Failure&) const = default;
  };

  WatchedCertificate(SettingsPtr settings, Clock& clock, Log& log, Metrics& metrics)
      : clock_(clock), log_(log), metrics_(metrics), settings_(std::move(settings)) {}
  std::optional<Mark> mark() const;
  bool is_still_to_come() const;
  Result<std::shared_ptr<const TlsServerContext>> load_files() const;
  Result<std::shared_ptr<const TlsServerContext>> load_self_signed();
  Result<void> load();
  void look_at_files(bool asked);
  void publish(std::shared_ptr<const TlsServerContext> context);

  Clock& clock_;
  Log& log_;
  Metrics& metrics_;
  std::mutex loading_;  // held while files are read
  SettingsPtr settings_;
  std::optional<Mark> shown_;    // of the files that are shown
  std::optional<Failure> told_;  // since then
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsServerContext> current_;
};

}  // namespace holdfast
