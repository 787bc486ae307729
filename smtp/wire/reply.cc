#include "smtp/wire/reply.h"

namespace holdfast {}
