#include "smtp/tls/requirement.h"

namespace holdfast {}
