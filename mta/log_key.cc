#include "mta/log_writer.h"
#include "smtp/base/key_file.h"

namespace holdfast {

std::string load_or_make_log_key(const std::filesystem::path& file, std::string& why) {
  auto key = load_or_make_key(file);
  if (key) return std::move(*key);
  why = key.error().detail;
  return random_key();
}

}  // namespace holdfast
