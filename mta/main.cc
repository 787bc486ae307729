#include <csignal>
#include <exception>

#include "mta/cli/cli.h"
#include "mta/cli/common.h"

int main(int argc, char** argv) {
  // A reader of our output or a peer that goes away is an error to handle, not a reason to die.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return holdfast::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    holdfast::complain(error.what());
    return holdfast::exit_code::try_again;
  }
}
