#include "smtp/base/body_source.h"

#include <utility>

namespace holdfast {

asio::awaitable<Result<std::string_view>> StringBody::next() {
  if (std::exchange(given_, true)) co_return std::string_view();
  co_return std::string_view(text_);
}

}  // namespace holdfast
