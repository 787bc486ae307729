#include "smtp/server/submission_listener.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"
#include "smtp/base/timeout.h"

namespace holdfast {
namespace {

constexpr Duration kTurnAwayLimit = std::chrono::seconds(5);
constexpr Duration kPauseAfterError = std::chrono::seconds(1);
// From here on a client that only waits is in the way of one that works.
constexpr double kPressure = 0.9;

std::function<void(std::string)> reporter(Log& log) {
  return
      [&log](std::string what) { log.error("a session ended by an exception", Fields().add("what", what)); };
}

}  // namespace

struct SubmissionListener::Worker {
  Worker(Executor where, Log& log) : executor(std::move(where)), group(executor, reporter(log)) {}

  Executor executor;
  // Of that executor.
  TaskGroup group;
  std::list<SubmissionSession*> sessions;
  bool stopping = false;
};

// A connection's place, given back wherever its life ends.
class SubmissionListener::Slot {
 public:
  Slot(SubmissionListener& owner, const IpBytes& client) : owner_(&owner), client_(client) {}
  Slot(Slot&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), client_(other.client_) {}
  Slot& operator=(Slot&&) = delete;
  ~Slot() {
    if (owner_ == nullptr) return;
    asio::post(owner_->shared_, [owner = owner_, client = client_] { owner->released(client); });
  }

 private:
  SubmissionListener* owner_;
  IpBytes client_;
};

Result<std::unique_ptr<SubmissionListener>> SubmissionListener::open(ListenerSettings settings,
                                                                     const SettingsSource& source,
                                                                     SessionServices services,
                                                                     Workers& workers) {
  auto socket = TcpListener::open(workers.shared(), settings.bind);
  if (!socket) return socket.error();
  return std::unique_ptr<SubmissionListener>(
      new SubmissionListener(std::move(settings), source, services, workers, std::move(*socket)));
}

SubmissionListener::SubmissionListener(ListenerSettings settings, const SettingsSource& source,
                                       SessionServices services, Workers& workers,
                                       std::unique_ptr<TcpListener> socket)
    : settings_(std::move(settings)),
      source_(source),
      services_(services),
      shared_(workers.shared()),
      address_(socket->address()),
      socket_(std::move(socket)),
      accepting_(shared_, reporter(services.log)) {
  services_.under_pressure = &under_pressure_;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>(workers.worker(i), services_.log));
  }
}

SubmissionListener::~SubmissionListener() = default;

void SubmissionListener::start() {
  const char* mode = settings_.mode == ListenerMode::trusted       ? "trusted"
                     : settings_.mode == ListenerMode::submissions ? "submissions"
                                                                   : "submission";
  services_.log.info("listening", Fields().add("address", address_.text()).add("mode", mode));
  asio::post(shared_, [this] { accepting_.spawn(accept_all()); });
}

asio::awaitable<void> SubmissionListener::accept_all() {
  while (true) {
    while (settings_.max_connections > 0 && active_ >= settings_.max_connections) {
      const bool notified = co_await freed_.wait();
      if (!notified) co_return;
    }
    Worker& worker = *workers_[next_worker_];
    next_worker_ = (next_worker_ + 1) % workers_.size();
    auto stream = co_await socket_->accept(worker.executor, services_.clock);
    if (stream) {
      admit(std::move(*stream), worker);
      continue;
    }
    if (stream.error().is(BaseError::cancelled) || stream.error().is(BaseError::closed)) co_return;
    services_.log.error("accept failed", Fields().add("why", stream.error().text()));
    const bool slept = co_await sleep_for(services_.clock, kPauseAfterError);
    if (!slept) co_return;
  }
}

void SubmissionListener::admit(std::unique_ptr<Stream> stream, Worker& worker) {
  // Kept in the slot: after a reload the address could count for another.
  const IpBytes client = client_of(stream->remote().ip, source_.current()->auth.trusted_networks);
  const unsigned from_there = per_network_.enter(client);
  ++active_;
  note_pressure();
  const bool too_many = settings_.max_connections_per_ip > 0 && from_there > settings_.max_connections_per_ip;
  auto start = [this, &worker, too_many, stream = std::move(stream), slot = Slot(*this, client)]() mutable {
    auto task = too_many ? turn_away(std::move(stream), std::move(slot))
                         : serve(worker, std::move(stream), std::move(slot));
    worker.group.spawn(std::move(task));
  };
  asio::post(worker.executor, std::move(start));
}

asio::awaitable<void> SubmissionListener::serve(Worker& worker, std::unique_ptr<Stream> stream,
                                                [[maybe_unused]] Slot slot) {
  SubmissionSession session(std::move(stream), source_.current(), settings_, services_);
  const auto place = worker.sessions.insert(worker.sessions.end(), &session);
  // Whatever way the coroutine ends, the list does not keep a dead session.
  struct Leave {
    Worker& worker;
    std::list<SubmissionSession*>::iterator place;
    ~Leave() { worker.sessions.erase(place); }
  } leave{worker, place};
  if (worker.stopping) session.request_stop();
  co_await session.run();
}

asio::awaitable<void> SubmissionListener::turn_away(std::unique_ptr<Stream> stream,
                                                    [[maybe_unused]] Slot slot) {
  const std::string ip = stream->remote().text();
  services_.metrics.counter("submission_rejections_total", {{"reason", name(Reason::connections)}}).add();
  Fields fields;
  fields.add("ip", ip)
      .add("listener", settings_.bind.text())
      .add("reason", name(Reason::connections))
      .add("code", 421);
  services_.log.event("rejected", fields);
  stream->set_deadline(services_.clock.now() + kTurnAwayLimit);
  // With implicit TLS the client expects a handshake, not a line.
  if (settings_.mode != ListenerMode::submissions) {
    const std::string text =
        make_reply(421, "4.7.0 Too many connections from your address; close some").wire();
    co_await stream->write(text);
  }
  stream->close();
}

void SubmissionListener::released(const IpBytes& client) {
  per_network_.leave(client);
  --active_;
  note_pressure();
  freed_.notify();
}

void SubmissionListener::note_pressure() {
  if (settings_.max_connections == 0) return;
  const bool pressed = static_cast<double>(active_) >= kPressure * settings_.max_connections;
  if (under_pressure_.exchange(pressed) == pressed) return;
  Fields fields;
  fields.add("listener", settings_.bind.text()).add("connections", static_cast<std::uint64_t>(active_));
  if (pressed) {
    services_.log.warning("near the connection limit: idle clients get less time", fields);
  } else {
    services_.log.info("enough connections free again", fields);
  }
}

asio::awaitable<Result<bool>> SubmissionListener::empty() {
  while (active_ > 0) {
    const bool notified = co_await freed_.wait();
    if (!notified) co_return BaseError::cancelled;
  }
  co_return true;
}

asio::awaitable<void> SubmissionListener::ask_to_stop(Worker& worker) {
  worker.stopping = true;
  // A session does not end within request_stop(), so the list stays as it is.
  for (SubmissionSession* session : worker.sessions) session->request_stop();
  co_return;
}

asio::awaitable<void> SubmissionListener::cancel(Worker& worker) {
  worker.group.stop();
  co_await worker.group.drained();
}

asio::awaitable<void> SubmissionListener::close_socket() {
  socket_->close();
  accepting_.stop();
  co_await accepting_.drained();
}

asio::awaitable<void> SubmissionListener::stop_accepting() {
  auto job = close_socket();
  co_await hop(shared_, std::move(job));
}

asio::awaitable<void> SubmissionListener::stop_on_shared(Duration grace) {
  co_await close_socket();
  for (const auto& worker : workers_) {
    auto job = ask_to_stop(*worker);
    co_await hop(worker->executor, std::move(job));
  }
  auto all_gone = empty();
  auto drained = co_await with_timeout(services_.clock, grace, std::move(all_gone));
  if (!drained) {
    services_.log.warning("sessions are cut off: the time to finish is over",
                          Fields().add("connections", static_cast<std::uint64_t>(active_)));
  }
  for (const auto& worker : workers_) {
    auto job = cancel(*worker);
    co_await hop(worker->executor, std::move(job));
  }
  while (active_ > 0) co_await freed_.wait_through_cancellation();
}

asio::awaitable<void> SubmissionListener::stop(Duration grace) {
  auto job = stop_on_shared(grace);
  co_await hop(shared_, std::move(job));
}

}  // namespace holdfast
