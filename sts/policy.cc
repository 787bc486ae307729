#include "sts/policy.h"

namespace holdfast {}
