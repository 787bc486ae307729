// queue/body_reader.h — the content of a stored message, piece by piece, its length and checksum verified on
// the way.
#pragma once

#include <memory>
#include <string>

#include "queue/body_cache.h"
#include "queue/body_files.h"
#include "queue/sqlite_thread.h"
#include "queue/store.h"

namespace holdfast {

// All of it in memory, verified before.
std::unique_ptr<StoredBody> make_memory_body(std::shared_ptr<const MessageContent> content);

struct BodyFileInfo {
  std::string name;
  std::uint64_t length = 0;
  std::uint32_t sum = 0;
};

// The body in a file. Damage shows at the latest with the last piece, as StoreError::damaged instead of the
// end: the reader must not finish a message before it has seen the end. `on_damage` is told then.
std::unique_ptr<StoredBody> make_file_body(std::string prefix, std::unique_ptr<BodyFile> file,
                                           BodyFileInfo info, std::string suffix, JobThreads& threads,
                                           std::function<void(std::string)> on_damage);

}  // namespace holdfast
