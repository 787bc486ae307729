#include "mta/json_text.h"

#include "smtp/base/log.h"

namespace holdfast {

std::string json_string(std::string_view text) {
  Fields one;
  one.add("x", text);
  return one.json().substr(4);  // behind "x":
}

}  // namespace holdfast
