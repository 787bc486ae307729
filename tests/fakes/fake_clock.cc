#include "smtp/base/clock.h"
namespace holdfast {}
