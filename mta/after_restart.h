// mta/after_restart.h — what a reload leaves as it was: listeners, store, data directory and threads are made
// once, at the start. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace holdfast {

struct HeldSettings {
  SettingsPtr settings;                    // `loaded`, but with what is running of those keys
  std::vector<std::string> after_restart;  // which of them differ: "data_dir", "listener"
};

// `loaded` was read with LoadInput::data_dir set to the running one, so that what derives from it stays, too.
HeldSettings hold_until_restart(const Settings& running, const Settings& loaded);

}  // namespace holdfast
