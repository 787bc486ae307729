// mta/cli/init_command.h — `holdfast init DIR`: a first configuration, a user, DKIM keys, and the DNS to
// publish.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace holdfast {

struct InitOptions {
  std::filesystem::path directory;
  std::string hostname, organization, user;
  std::vector<std::string> domains, addresses, mx;
  std::filesystem::path data_dir;       // "" = /var/lib/holdfast for /etc/holdfast, else DIRECTORY/data
  std::filesystem::path password_file;  // the user's; without it asked for, or made up and left in a file
};

// Asks on a terminal for what is missing. Never overwrites: a configuration that is there is exit code 1, a
// key that is there is used. The zone lines go to standard output, what was done to standard error.
int init_directory(InitOptions options);

}  // namespace holdfast
