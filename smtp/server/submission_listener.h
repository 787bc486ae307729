// smtp/server/submission_listener.h — one listening socket and the sessions that came through it.
//
// The socket lives on the shared executor; connections go to the workers in turn and stay there. At the
// connection limit nothing is accepted: the next clients wait in the kernel's queue. One client (in IPv6 a
// stranger's /64) that has too many is told 421. Near the limit the sessions' waits get shorter.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <vector>

#include "config/settings_source.h"
#include "smtp/base/notifier.h"
#include "smtp/base/task_group.h"
#include "smtp/base/tcp_listener.h"
#include "smtp/base/workers.h"
#include "smtp/server/connections_per_network.h"
#include "smtp/server/submission_session.h"

namespace holdfast {

class SubmissionListener {
 public:
  // Binds and listens; accepts once start() is called. All that is passed outlives the listener.
  // BaseError::io names the address that cannot be had.
  static Result<std::unique_ptr<SubmissionListener>> open(ListenerSettings settings,
                                                          const SettingsSource& source,
                                                          SessionServices services, Workers& workers);
  // Only after stop(), or before start().
  ~SubmissionListener();

  HostPort address() const { return address_; }  // with the port that the system picked for port 0
  std::size_t connections() const { return active_.load(std::memory_order_relaxed); }

  void start();

  // Closes the socket: nobody comes any more. On any executor.
  asio::awaitable<void> stop_accepting();
  // Does that too, ends the sessions, of which those with a message under way have `grace` to finish it, then
  // cancels what is left. Returns when no session is. Call it on any executor, once.
  asio::awaitable<void> stop(Duration grace);

 private:
  struct Worker;
  class Slot;

  SubmissionListener(ListenerSettings settings, const SettingsSource& source, SessionServices services,
                     Workers& workers, std::unique_ptr<TcpListener> socket);
  asio::awaitable<void> accept_all();
  void admit(std::unique_ptr<Stream> stream, Worker& worker);
  asio::awaitable<void> serve(Worker& worker, std::unique_ptr<Stream> stream, Slot slot);
  asio::awaitable<void> turn_away(std::unique_ptr<Stream> stream, Slot slot);
  asio::awaitable<void> close_socket();
  asio::awaitable<void> stop_on_shared(Duration grace);
  asio::awaitable<Result<bool>> empty();
  static asio::awaitable<void> ask_to_stop(Worker& worker);
  static asio::awaitable<void> cancel(Worker& worker);
  void released(const IpBytes& client);
  void note_pressure();

  ListenerSettings settings_;
  const SettingsSource& source_;
  SessionServices services_;
  Executor shared_;
  HostPort address_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> under_pressure_ = false;
  std::atomic<std::size_t> active_ = 0;  // written on the shared executor

  // Of the shared executor.
  std::unique_ptr<TcpListener> socket_;
  TaskGroup accepting_;
  ConnectionsPerNetwork per_network_;
  std::size_t next_worker_ = 0;
  Notifier freed_;
};

}  // namespace holdfast
