#include "config/network.h"

namespace holdfast {}
