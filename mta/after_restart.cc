#include "mta/after_restart.h"

namespace holdfast {
namespace {

class Holding {
 public:
  template <class T>
  void hold(const char* key, const T& running, T& loaded) {
    if (running == loaded) return;
    keys.emplace_back(key);
    loaded = running;
  }
  std::vector<std::string> keys;
};

}  // namespace

HeldSettings hold_until_restart(const Settings& running, const Settings& loaded) {
  auto own = std::make_shared<Settings>(loaded);
  Holding all;
  all.hold("data_dir", running.data_dir, own->data_dir);
  all.hold("runtime.threads", running.runtime.threads, own->runtime.threads);
  all.hold("listener", running.listeners, own->listeners);
  all.hold("queue.engine", running.queue.engine, own->queue.engine);
  all.hold("queue.inline_limit", running.queue.inline_limit, own->queue.inline_limit);
  all.hold("queue.min_free_space", running.queue.min_free_space, own->queue.min_free_space);
  all.hold("queue.history", running.queue.history, own->queue.history);
  all.hold("queue.history_size", running.queue.history_size, own->queue.history_size);
  all.hold("admin.socket", running.admin.socket, own->admin.socket);
  all.hold("admin.http", running.admin.http, own->admin.http);
  return {std::move(own), std::move(all.keys)};
}

}  // namespace holdfast
