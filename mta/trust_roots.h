// mta/trust_roots.h — what connections of ours verify against now: `trust.ca_file`, or the system's roots.
#pragma once

#include <memory>
#include <mutex>

#include "smtp/tls/tls_context.h"

namespace holdfast {

// Thread-safe. A connection keeps the contexts that it took.
class TrustRoots {
 public:
  // On an error (the file is missing, holds no certificate) nothing changes.
  Result<void> load(const std::filesystem::path& ca_file) {
    auto contexts = TlsClientContexts::create(ca_file);
    if (!contexts) return contexts.error();
    const std::lock_guard lock(mutex_);
    current_ = *contexts;
    return {};
  }
  std::shared_ptr<const TlsClientContexts> current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsClientContexts> current_;
};

}  // namespace holdfast
