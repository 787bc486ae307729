#include "mta/service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>

#include "mta/cli/exit_code.h"
#include "mta/process.h"
#include "mta/relay.h"
#include "queue/store.h"

namespace holdfast {

namespace {

constexpr auto kWatchStore = std::chrono::milliseconds(200);

struct Run {
  Relay& relay;
  Clock& clock;
  Log& log;
  int exit_code = exit_code::yes;
  bool ended = false;
};

// True: the run ends. SIGTERM and SIGINT end it; SIGHUP reloads.
bool heed(Run& run, int signal) {
  if (signal == SIGHUP) {
    notify_supervisor("RELOADING=1");
    run.relay.reload();
    notify_supervisor("READY=1");
    return false;
  }
  run.log.info("stopping", Fields().add("signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
  return true;
}

asio::awaitable<void> wait_for_signals(Run& run, asio::signal_set& signals) {
  while (!run.ended) {
    boost::system::error_code error;
    const int signal = co_await signals.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    run.ended = heed(run, signal);
  }
}

// After a failed sync the page cache may lie: the process stops rather than acknowledge anything more.
void give_up(Run& run) {
  run.log.error(
      "the queue cannot be written safely any more: the relay stops; mend the disk and start it again");
  run.exit_code = exit_code::try_again;
  run.ended = true;
}

asio::awaitable<void> watch_store(Run& run, asio::signal_set& signals) {
  bool awake = true;
  while (awake && !run.ended) {
    if (run.relay.store_failed()) give_up(run);
    if (!run.ended) awake = co_await sleep_for(run.clock, kWatchStore);
  }
  signals.cancel();
}

// Which exit code fits what could not be opened.
int code_of(const Error& error) {
  const bool passing =
      error.is(StoreError::conflict) || error.is(StoreError::full) || error.is(StoreError::io);
  return passing ? exit_code::try_again : exit_code::configuration;
}

// `loop` outlives the relay: a worker may still be inside a post to it when what it posted is done here.
int run_relay(asio::io_context& loop, Relay& relay, Clock& clock, Log& log) {
  asio::signal_set signals(loop, SIGTERM, SIGINT, SIGHUP);
  Run run{relay, clock, log};
  if (auto started = relay.start(); !started) {
    log.error(started.error().text());
    run.exit_code = exit_code::configuration;
  } else {
    notify_supervisor("READY=1");
    const auto rethrow = [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    };
    asio::co_spawn(loop, wait_for_signals(run, signals), rethrow);
    asio::co_spawn(loop, watch_store(run, signals), rethrow);
    loop.run();
    notify_supervisor("STOPPING=1");
  }
  loop.restart();
  asio::co_spawn(loop, relay.stop(), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  loop.run();
  log.info("stopped");
  return run.exit_code;
}

}  // namespace

int run_service(const ServeOptions& options) {
  harden_process();
  auto clock = make_system_clock();
  LoadInput input;
  input.file = options.config_file;
  input.environment = holdfast_environment();
  input.today = std::chrono::floor<std::chrono::days>(clock->wall());
  const Loaded loaded = load_settings(input);
  for (const auto& error : loaded.errors) fmt::print(stderr, "holdfast: {}\n", error.print());
  if (!loaded.settings) return exit_code::configuration;
  std::string open_to_others;
  if (auto prepared = prepare_data_dir(loaded.settings->data_dir, open_to_others); !prepared) {
    fmt::print(stderr, "holdfast: {}\n", prepared.error().text());
    return exit_code::permission;
  }
  std::string why;
  LogWriter log(loaded.settings->log, *clock, STDOUT_FILENO,
                load_or_make_log_key(loaded.settings->data_dir / "log.key", why));
  if (!why.empty()) log.warning("log.key: " + why);
  if (!open_to_others.empty()) log.warning("data_dir: " + open_to_others);
  for (const auto& warning : loaded.warnings) log.warning(warning.print());

  asio::io_context loop;
  auto relay = Relay::build(loaded.settings, options.config_file, *clock, log);
  if (!relay) {
    log.error(relay.error().text());
    return code_of(relay.error());
  }
  return run_relay(loop, **relay, *clock, log);
}

}  // namespace holdfast
