// tlsrpt/reporter_store.h — the durable states of reports, and addresses that bounced: data_dir/tlsrpt.db.
//
// One row per report, one per target. A report is worked on under a lease, so that of several relays with one
// database (an engine that follows) one sends it; a lease that ran out is anybody's, one's own is always
// one's own, since a restart takes up where it stopped.
#pragma once

#include <filesystem>
#include <memory>

#include "tlsrpt/reporter_state.h"

namespace holdfast {

struct SuppressedAddress {
  std::string address;
  WallTime until{};
  std::string reason;
};

// One thread at a time. Every change is durable on return, or nothing changed.
class ReporterStore {
 public:
  virtual ~ReporterStore() = default;

  // Adds those that are not there yet. The count of the new ones.
  virtual Result<std::size_t> freeze(const std::vector<ReportProgress>& reports) = 0;
  // The reports that want attention by now, at most `limit`, the oldest first; without their text.
  virtual Result<std::vector<ReportProgress>> due(WallTime now, std::size_t limit) = 0;
  // The report, whole, if the lease was free; nullopt when another relay works on it.
  virtual Result<std::optional<ReportProgress>> lease(std::chrono::sys_days day, const DomainName& domain,
                                                      WallTime now, Duration lease) = 0;
  // Writes the report and its targets; ends the lease when `release`. A target that a mail's end has moved on
  // meanwhile keeps that state.
  virtual Result<void> save(const ReportProgress& report, bool release) = 0;
  // Makes all that waits of this day due at once; the count of reports.
  virtual Result<std::size_t> hurry(std::chrono::sys_days day, WallTime now) = 0;

  // The end of a mail, by its key.
  virtual Result<void> mail_ended(const std::string& key, TargetState state, const std::string& reason) = 0;
  virtual Result<void> suppress(const SuppressedAddress& address) = 0;
  virtual Result<std::optional<SuppressedAddress>> suppressed(const std::string& address, WallTime now) = 0;
  virtual Result<std::vector<SuppressedAddress>> all_suppressed(WallTime now) = 0;

  // Newest day first, without their text, at most `limit`; those that ended by a wish of kWishes only with
  // `all`.
  virtual Result<std::vector<ReportProgress>> list(std::optional<std::chrono::sys_days> day, bool all,
                                                   std::size_t limit) = 0;
  // Days whose report ended before `ended_before` and whose sessions were not said to be erased yet.
  virtual Result<std::vector<LedgerDay>> erasable(WallTime ended_before, std::size_t limit) = 0;
  virtual Result<void> note_erased(const std::vector<LedgerDay>& days) = 0;
  // Forgets reports whose sessions are erased and that ended before this, and addresses no longer suppressed.
  virtual Result<void> forget(WallTime ended_before, WallTime now) = 0;
};

// `node` names this relay in its leases. In the same file as the ledger, on a connection of its own.
Result<std::unique_ptr<ReporterStore>> open_reporter_store(const std::filesystem::path& file,
                                                           std::string node);

}  // namespace holdfast
