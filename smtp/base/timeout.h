// smtp/base/timeout.h — a limit on an operation that is not on a Stream (those have deadlines).
#pragma once

#include "smtp/base/clock.h"
#include "smtp/base/result.h"

namespace holdfast {

// Runs `op` and cancels it once `limit` has passed; then the result is BaseError::timed_out. `op` runs on
// the caller's executor; a cancellation of the caller is passed on to `op` and yields BaseError::cancelled.
template <class T>
asio::awaitable<Result<T>> with_timeout(Clock& clock, Duration limit, asio::awaitable<Result<T>> op);

}  // namespace holdfast

#include "smtp/base/timeout_impl.h"
