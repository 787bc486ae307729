#include "smtp/base/result.h"

#include <stdexcept>

namespace holdfast {

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  throw std::logic_error("a result without value was used at " + where.to_string() + ": " + error.text());
}

}  // namespace holdfast
