// mta/cli/exit_code.h — how `holdfast` ends, for scripts (sysexits.h where it has a number).
#pragma once

namespace holdfast::exit_code {

inline constexpr int yes = 0;
inline constexpr int no = 1;            // the answer is no: not found, not ready, nothing changed
inline constexpr int usage = 64;        // the command line is wrong
inline constexpr int bad_data = 65;     // a file or an answer is not what it should be
inline constexpr int unreachable = 69;  // the relay is not reachable
inline constexpr int try_again = 75;    // it may work later
inline constexpr int permission = 77;
inline constexpr int configuration = 78;

}  // namespace holdfast::exit_code
