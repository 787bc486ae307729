#include "tests/simulation/run.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <fstream>

#include "config/schema.h"
#include "tests/fakes/run.h"
#include "tests/simulation/submitter.h"

namespace holdfast::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// In memory where the system has that: a sync then costs nothing, and means nothing; what a power cut does is
// tested elsewhere.
std::filesystem::path place_of_disks() {
  const std::filesystem::path memory = "/dev/shm";
  std::error_code error;
  return std::filesystem::is_directory(memory, error) && ::access(memory.c_str(), W_OK) == 0
             ? memory
             : std::filesystem::temp_directory_path();
}

class Directory {
 public:
  Directory() {
    std::string pattern = (place_of_disks() / "holdfast-simulation-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
    path_ = pattern;
  }
  ~Directory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The key that signs reports: an RSA key costs more than a seed, so it is made once per process.
const std::filesystem::path& key_directory() {
  static const Directory keys;
  return keys.path();
}

Settings settings_by(Dice& dice) {
  Settings s = default_settings();
  s.hostname = "relay.example";
  s.postmaster = "postmaster@relay.example";
  s.auth.trusted_networks = {*holdfast::Network::parse("127.0.0.0/8")};
  s.auth.mechanisms = {"PLAIN"};
  s.delivery.retry = {std::chrono::duration_cast<Millis>(kFirstRetry), minutes(15), minutes(60)};
  s.delivery.expire = hours(dice.between(1, 8));
  s.delivery.delay_notice_after = dice.chance(50) ? hours(1) : hours(0);
  s.delivery.connections_per_destination = static_cast<unsigned>(dice.between(1, 5));
  s.delivery.connections_per_mx = static_cast<unsigned>(dice.between(1, 4));
  s.delivery.connections_total = static_cast<unsigned>(dice.between(3, 20));
  s.delivery.messages_per_connection = static_cast<unsigned>(dice.between(1, 10));
  s.queue.inline_limit = dice.chance(50) ? 4096 : 256 * 1024;
  s.queue.min_free_space = DiskReserve();
  s.queue.bounce_expire = hours(24);
  s.tlsrpt.contact = "tls@relay.example";
  s.tlsrpt.organization = "relay.example";
  s.tlsrpt.jitter = minutes(10);
  s.dkim.key_dir = key_directory();
  return s;
}

class OneRun {
 public:
  OneRun(std::uint64_t seed, Plant plant) : world_(seed), plant_(plant), settings_(settings_by(world_.dice)) {
    world_.seen.expire = settings_.delivery.expire;
    world_.dns.txt(key_record().name, key_record().value);
    begin_life();
  }
  ~OneRun() {
    if (life_) life_->crash();
  }

  Outcome run() {
    const int steps = world_.dice.between(25, 60);
    for (int step = 0; step < steps; ++step) bad_moment(step < steps * 2 / 3);
    calm_down();
    Outcome outcome;
    const auto rows = life_->rows(true);
    life_->stop();
    life_.reset();
    outcome.verdicts = judge(world_, heard_, rows);
    outcome.hash = world_.trace.hash();
    outcome.lines = world_.trace.lines();
    outcome.lives = world_.stage.life;
    if (!outcome.verdicts.failures.empty()) outcome.tail = world_.trace.tail(40);
    return outcome;
  }

 private:
  const KeyRecord& key_record() {
    static const KeyRecord record = ReportSigningKey().record(settings_).value();
    return record;
  }

  void begin_life() {
    life_ = std::make_unique<Life>(world_, heard_, settings_, disk_.path(), plant_);
    life_->start();
    world_.seen.hurried.push_back(world_.clock.now());
  }

  void send_letter() {
    Letter letter = draw_letter(world_, ++letters_);
    for (const auto& [number, old] : world_.seen.letters) {
      // A client that got no answer tries again.
      if (old.outcome != Letter::Outcome::unknown || !repeated_.insert(number).second) continue;
      letter = repeated(old, letters_);
      break;
    }
    const int number = letter.number;
    const bool over_tls = letter.over_tls;
    world_.seen.letters[number] = std::move(letter);
    auto stream = life_ ? life_->dial(over_tls ? ListenerMode::submission : ListenerMode::trusted) : nullptr;
    ++world_.clients;
    asio::co_spawn(world_.context, submit(world_, number, std::move(stream)), [this](std::exception_ptr e) {
      --world_.clients;
      if (e) std::rethrow_exception(e);
    });
  }

  void bad_moment(bool submitting) {
    Dice& dice = world_.dice;
    if (submitting)
      for (int n = dice.between(0, 3); n > 0; --n) send_letter();
    if (dice.chance(45)) world_.mischief();
    if (dice.chance(4)) life_->store().fail_next = dice.chance(50) ? StoreError::io : StoreError::full;
    if (dice.chance(4)) life_->store().full = !life_->store().full;
    if (dice.chance(18)) operate();
    if (dice.chance(3)) {
      world_.trace.add("world", "the wall clock jumps");
      world_.clock.jump_wall(minutes(dice.between(-90, 90)));
    }
    if (dice.chance(6)) {
      die_somewhere();
    } else {
      world_.pass(seconds(dice.chance(50) ? dice.between(1, 90) : dice.between(60, 2400)));
    }
  }

  // In the middle of whatever is under way: after so many turns of the loop.
  void die_somewhere() {
    Dice& dice = world_.dice;
    world_.context.restart();
    for (int turns = dice.between(1, 600); turns > 0; --turns) {
      if (world_.context.poll_one() != 0) continue;
      world_.context.restart();
      if (!world_.clock.advance_to_next()) break;
    }
    life_->crash();
    life_.reset();
    world_.pass(seconds(dice.between(1, 1200)));
    begin_life();
  }

  void operate() {
    Dice& dice = world_.dice;
    using What = OperatorChange::What;
    world_.seen.hurried.push_back(world_.clock.now());
    switch (dice.below(9)) {
      case 0: life_->change(What::hold); break;
      case 1: life_->change(What::release); break;
      case 2: life_->change(What::retry); break;
      case 3: {
        const std::string to = life_->change(What::remove);
        if (!to.empty()) world_.seen.operator_removed.insert(to);
        break;
      }
      case 4: life_->change(What::bounce); break;
      case 5: life_->pause(dice.one_of(world_.domains)->name, true); break;
      case 6: life_->pause(dice.one_of(world_.domains)->name, false); break;
      case 7: {
        Settings changed = life_->settings();
        changed.delivery.messages_per_connection = static_cast<unsigned>(dice.between(1, 10));
        settings_ = changed;
        life_->reload(std::move(changed));
        break;
      }
      default:
        life_->stop();
        life_.reset();
        world_.pass(seconds(dice.between(1, 60)));
        begin_life();
        break;
    }
  }

  // All is well again; everything must come to its end, and the day's reports be told.
  void calm_down() {
    world_.become_calm();
    world_.seen.hurried.push_back(world_.clock.now());
    life_->store().full = false;
    life_->store().fail_next.reset();
    for (auto& domain : world_.domains) life_->pause(domain->name, false);
    while (!life_->change(OperatorChange::What::release).empty()) {
    }
    world_.seen.hurried.push_back(world_.clock.now());
    for (int hour = 0; hour < 60 && (hour < 34 || !life_->rows(false).empty()); ++hour) world_.pass(hours(1));
    // The sessions of a day are told when it is over, also where mail was tried until lately.
    const WallTime told = std::chrono::floor<std::chrono::days>(heard_.last_counted) + hours(26);
    if (world_.clock.wall() < told) world_.pass(told - world_.clock.wall());
  }

  World world_;
  Plant plant_;
  Heard heard_;
  Directory disk_;
  Settings settings_;
  std::unique_ptr<Life> life_;
  int letters_ = 0;
  std::set<int> repeated_;
};

}  // namespace

Outcome simulate(std::uint64_t seed, Plant plant) { return OneRun(seed, plant).run(); }

}  // namespace holdfast::simulation
