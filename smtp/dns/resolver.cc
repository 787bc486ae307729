#include "smtp/dns/resolver.h"

namespace holdfast {}
