#include "tlsrpt/outcome.h"

namespace holdfast {}
