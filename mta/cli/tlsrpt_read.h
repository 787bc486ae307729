// mta/cli/tlsrpt_read.h — `holdfast tlsrpt read`: reports that others sent us, summed up. Needs no relay.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/common.h"

namespace holdfast {

// Files, directories (their .json, .gz and .eml files, and the mails of a Maildir) and "-". What cannot be
// read is named on standard error, the others count; bad_data then.
int tlsrpt_read(const CommonOptions& common, const std::vector<std::string>& sources);

}  // namespace holdfast
