#include "mta/cli/selftest_command.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace holdfast {

int selftest(const CommonOptions& common) {
  std::error_code code;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", code);
  if (code) return complain("/proc/self/exe: " + code.message()), exit_code::unreachable;
  const auto folder = self.parent_path();
  // Where the build puts it, and where it is installed.
  for (const auto& program :
       {folder / "holdfast-selftest", folder / "../libexec/holdfast/holdfast-selftest"}) {
    if (!std::filesystem::exists(program, code)) continue;
    const std::string path = program.string(), binary = self.string(), config = common.config.string();
    ::execl(path.c_str(), path.c_str(), binary.c_str(), config.c_str(), static_cast<char*>(nullptr));
    return complain(path + ": " + std::strerror(errno)), exit_code::unreachable;
  }
  complain("holdfast-selftest is not installed; it is built together with the tests");
  return exit_code::unreachable;
}

}  // namespace holdfast
