#include <malloc.h>

#include <csignal>
#include <exception>

#include "mta/cli/cli.h"
#include "mta/cli/common.h"

namespace {

// Threads give back the top of their heap, and get it again page by page, with every few messages: a system
// call and the zeroing of its pages each time. A megabyte or two may stay.
void keep_some_memory() {
  ::mallopt(M_TRIM_THRESHOLD, 2 << 20);
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  keep_some_memory();
  // A reader of our output or a peer that goes away is an error to handle, not a reason to die.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return holdfast::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    holdfast::complain(error.what());
    return holdfast::exit_code::try_again;
  }
}
