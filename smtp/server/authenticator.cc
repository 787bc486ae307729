#include "smtp/server/authenticator.h"

namespace holdfast {}
