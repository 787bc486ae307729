// mta/cli/cli.h — the command line: one tree of commands, from which help, completions and manual are made.
#pragma once

namespace holdfast {

// Parses, runs the command and returns the process's exit code (exit_code.h).
int run_command_line(int argc, const char* const* argv);

}  // namespace holdfast
