// mta/cli/selftest_command.h — `holdfast selftest`: hands over to holdfast-selftest, which is built with the
// tests, since it brings a small internet of servers and attackers along that a relay has no use for.
#pragma once

#include "mta/cli/common.h"

namespace holdfast {

// Returns only when the program cannot be started.
int selftest(const CommonOptions& common);

}  // namespace holdfast
