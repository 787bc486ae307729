#include "queue/store.h"

namespace holdfast {}
