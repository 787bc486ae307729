// config/settings_source.h — where running code takes its snapshot of the settings from.
//
// Take one snapshot per session or per attempt and keep it: a reload publishes a new one and never changes
// the old. current() may be called from any thread.
#pragma once

#include "config/settings.h"

namespace holdfast {

class SettingsSource {
 public:
  virtual ~SettingsSource() = default;
  virtual SettingsPtr current() const = 0;
};

}  // namespace holdfast
