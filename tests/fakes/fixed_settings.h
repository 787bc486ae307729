// tests/fakes/fixed_settings.h — settings that are what the test says.
#pragma once

#include <memory>
#include <utility>

#include "config/settings_source.h"

namespace holdfast {

// A change of `settings` is a reload: snapshots that were taken before keep what they had. Only while nobody
// else calls current().
class FixedSettings final : public SettingsSource {
 public:
  explicit FixedSettings(Settings with = {}) : settings(std::move(with)) {}
  SettingsPtr current() const override { return std::make_shared<const Settings>(settings); }

  Settings settings;
};

}  // namespace holdfast
