// config/published_settings.h — the snapshot that is in force, replaced as a whole by a reload.
#pragma once

#include <mutex>

#include "config/settings_source.h"

namespace holdfast {

// Thread-safe. Sessions that hold an older snapshot keep it.
class PublishedSettings final : public SettingsSource {
 public:
  explicit PublishedSettings(SettingsPtr first) : current_(std::move(first)) {}
  SettingsPtr current() const override {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  void publish(SettingsPtr next) {
    const std::lock_guard lock(mutex_);
    current_.swap(next);  // the old one, perhaps the last of its kind, is destroyed outside the lock
  }

 private:
  mutable std::mutex mutex_;
  SettingsPtr current_;
};

}  // namespace holdfast
