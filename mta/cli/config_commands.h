// mta/cli/config_commands.h — `holdfast config …`: needs no running relay.
#pragma once

#include "mta/cli/common.h"

namespace holdfast {

int config_check(const CommonOptions& common);
int config_show(const CommonOptions& common, bool origin);
int config_reference(bool markdown);

}  // namespace holdfast
