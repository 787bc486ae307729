#include "smtp/client/client_session.h"

namespace holdfast {}
