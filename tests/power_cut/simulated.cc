// tests/power_cut/simulated.cc — the store on a disk that loses power at every point of a life.
//
//   simulated_power_cut [--subsets N] [--seed S] [--part I/N] [--folder DIR] [--keep DIR]
//   simulated_power_cut --notices [--lie NAME]
//
// A life of the store (crash_matrix/life.h) is recorded once, call by call (disk_calls.h). For every point of
// it the disks that a power cut there may leave are made (disk_model.h): six adversarial ones where something
// is about to be synced or was just promised, and N by dice everywhere; and from some of them a second life
// is begun and cut, in its recovery or behind it. On each disk the store recovers and is judged
// (crash_matrix/judge.h).
//
// --notices lets the disk lie: it says that it synced this or that, and did not. Each lie must be noticed, or
// the judge could not notice a store that forgot that sync. Exit code 1 when something is wrong.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <unordered_set>

#include "tests/crash_matrix/judge.h"
#include "tests/power_cut/disk_model.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using What = DiskCall::What;

// A sync that the disk only pretends to do.
struct Lie {
  const char* name;
  bool (*is)(const DiskCall&);
};
bool in_bodies(const DiskCall& c) { return c.path.starts_with("data/bodies/"); }
constexpr Lie kLies[] = {
    {"body", [](const DiskCall& c) { return c.what == What::sync && in_bodies(c); }},
    {"body-folder", [](const DiskCall& c) { return c.what == What::sync_folder && in_bodies(c); }},
    {"bodies-folder",
     [](const DiskCall& c) { return c.what == What::sync_folder && c.path == "data/bodies"; }},
    {"data-folder", [](const DiskCall& c) { return c.what == What::sync_folder && c.path == "data"; }},
    {"folder-above", [](const DiskCall& c) { return c.what == What::sync_folder && c.path.empty(); }},
    {"log", [](const DiskCall& c) { return c.what == What::sync && c.path.ends_with("-wal"); }},
    {"database", [](const DiskCall& c) { return c.what == What::sync && c.path.ends_with("queue.db"); }},
};

struct Event {
  std::optional<DiskCall> call;
  std::string said;  // when it is no call
};

// Keeps what happens. Nothing is really synced: the disk is a model.
class Recorder final : public DiskWatcher {
 public:
  explicit Recorder(const Lie* lie) : lie_(lie) {}
  Order before(const DiskCall& call) override {
    return {0, false, call.what == What::sync || call.what == What::sync_folder};
  }
  void done(const DiskCall& call) override {
    if (lie_ != nullptr && lie_->is(call)) return;
    const std::lock_guard lock(mutex_);
    events_.push_back({call, ""});
  }
  void say(const std::string& line) {
    const std::lock_guard lock(mutex_);
    events_.push_back({std::nullopt, line});
  }
  std::vector<Event> take() { return std::exchange(events_, {}); }

 private:
  const Lie* lie_;
  std::mutex mutex_;
  std::vector<Event> events_;
};

struct Options {
  unsigned subsets = 1;
  std::uint64_t seed = 1;
  unsigned part = 0, parts = 1;
  fs::path folder, keep;
  bool notices = false;
  std::string lie;
};

class Simulation {
 public:
  Simulation(const Options& options, const Lie* lie) : options_(options), lie_(lie) {}

  // False: something is wrong. Stops there when the disk lies.
  bool run() {
    auto [model, life] = record({}, [](Life& l, const Say& say) { live(l, say); });
    if (life.empty()) return false;
    std::vector<std::string> said;
    for (std::size_t i = 0; i < life.size() && go_on(); ++i) {
      const Event& next = life[i];
      const bool syncs = next.call && (next.call->what == What::sync || next.call->what == What::sync_folder);
      const bool promised = i > 0 && !life[i - 1].call && life[i - 1].said.starts_with("done");
      // The folders of the bodies are made in one go; a few moments of that will do.
      const bool again = next.call && next.call->what == What::make_folder && i % 64 != 0;
      const bool wanted = lie_ == nullptr || syncs || promised;
      if (!again && wanted && i % options_.parts == options_.part)
        try_point(model, said, i, syncs || promised);
      if (next.call) {
        model.play(*next.call);
        ++calls_;
      } else {
        said.push_back(next.said);
      }
    }
    if (go_on()) try_point(model, said, life.size(), true);
    return broken_ == 0;
  }

  void report(double seconds) const {
    std::printf(
        "%zu calls in one life, cut at %zu points, seed %llu: %zu disks, %zu of them different and judged, "
        "%zu cut a second time in or behind their recovery; broken: %zu; %.1f s\n",
        calls_, points_, static_cast<unsigned long long>(options_.seed), disks_, judged_, twice_, broken_,
        seconds);
  }
  std::size_t judged() const { return judged_; }

 private:
  bool go_on() const { return lie_ == nullptr || broken_ == 0; }

  struct Recording {
    DiskModel model;  // of the disk before the first event
    std::vector<Event> events;
  };

  // Lets `what` happen on `disk`. No events when the model does not agree with the disk in the end.
  Recording record(const DiskImage& disk, const std::function<void(Life&, const Say&)>& what) {
    disk.write(options_.folder);
    Recorder recorder(lie_);
    begin_watch(options_.folder, recorder);
    Recording recording{DiskModel(disk), {}};
    for (const auto& found : recorder.take()) recording.model.play(*found.call);
    {
      Life life(options_.folder / "data");
      what(life, [&](const std::string& line) { recorder.say(line); });
    }
    end_watch();
    recording.events = recorder.take();
    DiskModel model = recording.model;
    for (const auto& event : recording.events)
      if (event.call) model.play(*event.call);
    std::mt19937_64 dice;
    if (unseen_removed(model.cut(Survival::everything, dice)) !=
        unseen_removed(DiskImage::read(options_.folder))) {
      std::printf("BROKEN: the disk holds something else than the calls say: one of them is not watched\n");
      ++broken_;
      recording.events.clear();
    }
    return recording;
  }
  static DiskImage unseen_removed(DiskImage image) {
    std::erase_if(image.files, [](const auto& file) { return file.first.ends_with("-shm"); });
    return image;
  }

  void try_point(const DiskModel& model, const std::vector<std::string>& said, std::size_t point, bool all) {
    ++points_;
    if (all) {
      for (const auto survival : {Survival::nothing, Survival::everything, Survival::last_only,
                                  Survival::header_only, Survival::in_order, Survival::reordered})
        try_disk(model, said, point, survival, 0);
    }
    for (unsigned i = 0; i < options_.subsets && !model.all_synced(); ++i)
      try_disk(model, said, point, Survival::any, i);
  }

  void try_disk(const DiskModel& model, const std::vector<std::string>& said, std::size_t point,
                Survival survival, unsigned number) {
    if (!go_on()) return;
    ++disks_;
    std::seed_seq seed{options_.seed, options_.seed >> 32, std::uint64_t{point},
                       static_cast<std::uint64_t>(survival), std::uint64_t{number}};
    std::mt19937_64 dice(seed);
    const DiskImage disk = model.cut(survival, dice);
    if (!seen_.insert(hash(disk, said.size())).second) return;
    const std::string where = "point " + std::to_string(point) + ", " + name(survival) + " survives";
    judge(disk, said, where);
    if (dice() % 4 == 0) cut_again(disk, said, where, dice);
  }

  void cut_again(const DiskImage& disk, std::vector<std::string> said, const std::string& where,
                 std::mt19937_64& dice) {
    auto [model, events] = record(disk, [](Life& l, const Say& say) { live_on(l, say); });
    if (events.empty()) return;
    ++twice_;
    const std::size_t point = dice() % (events.size() + 1);
    for (std::size_t i = 0; i < point; ++i) {
      if (events[i].call) {
        model.play(*events[i].call);
      } else {
        said.push_back(events[i].said);
      }
    }
    const auto survival = static_cast<Survival>(dice() % (static_cast<unsigned>(Survival::any) + 1));
    const DiskImage second = model.cut(survival, dice);
    if (!seen_.insert(hash(second, said.size())).second) return;
    judge(second, said,
          where + ", then again at " + std::to_string(point) + ", " + name(survival) + " survives");
  }

  void judge(const DiskImage& disk, const std::vector<std::string>& said, const std::string& where) {
    ++judged_;
    disk.write(options_.folder);
    Recorder recorder(nullptr);
    begin_watch(options_.folder, recorder, false);
    std::vector<std::string> wrong;
    {
      Life life(options_.folder / "data");
      wrong = Judge(life, said).judge();
    }
    end_watch();
    if (wrong.empty()) return;
    ++broken_;
    std::printf("%s: seed %llu, %s:", lie_ == nullptr ? "BROKEN" : "noticed",
                static_cast<unsigned long long>(options_.seed), where.c_str());
    for (const auto& line : wrong) std::printf(" %s;", line.c_str());
    std::printf("\n");
    std::fflush(stdout);
    if (lie_ == nullptr && !options_.keep.empty()) keep(disk, said);
  }

  // For `store_life check DIR/N < DIR/N/said`.
  void keep(const DiskImage& disk, const std::vector<std::string>& said) const {
    const fs::path folder = options_.keep / std::to_string(broken_);
    disk.write(folder);
    std::ofstream file(folder / "said");
    for (const auto& line : said) file << line << "\n";
  }

  static std::size_t hash(const DiskImage& disk, std::size_t said) {
    const std::hash<std::string> of;
    std::size_t sum = said;
    const auto add = [&](std::size_t value) { sum = (sum ^ value) * 0x9e3779b97f4a7c15 + (sum >> 29); };
    for (const auto& folder : disk.folders) add(of(folder));
    for (const auto& [path, octets] : disk.files) {
      add(of(path));
      add(of(octets));
    }
    return sum;
  }

  const Options& options_;
  const Lie* lie_;
  std::unordered_set<std::size_t> seen_;
  std::size_t calls_ = 0, points_ = 0, disks_ = 0, judged_ = 0, twice_ = 0, broken_ = 0;
};

double since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

int run_notices(const Options& options) {
  int missed = 0;
  for (const Lie& lie : kLies) {
    if (!options.lie.empty() && options.lie != lie.name) continue;
    Simulation simulation(options, &lie);
    const bool well = simulation.run();
    std::printf("a disk that does not sync the %s: %s after %zu disks\n", lie.name,
                well ? "NOT NOTICED" : "noticed", simulation.judged());
    missed += well ? 1 : 0;
  }
  return missed == 0 ? 0 : 1;
}

int run_all(const Options& options) {
  if (options.notices) return run_notices(options);
  const auto begun = std::chrono::steady_clock::now();
  Simulation simulation(options, nullptr);
  const bool well = simulation.run();
  simulation.report(since(begun));
  return well ? 0 : 1;
}

// nullopt: not understood.
std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--notices") {
      options.notices = true;
      continue;
    }
    if (++i == argc) return std::nullopt;
    const std::string value = argv[i];
    if (word == "--subsets") {
      options.subsets = static_cast<unsigned>(std::stoul(value));
    } else if (word == "--seed") {
      options.seed = std::stoull(value);
    } else if (word == "--part" && value.find('/') != std::string::npos) {
      options.part = static_cast<unsigned>(std::stoul(value));
      options.parts = static_cast<unsigned>(std::stoul(value.substr(value.find('/') + 1)));
      if (options.part == 0 || options.part-- > options.parts) return std::nullopt;
    } else if (word == "--folder") {
      options.folder = value;
    } else if (word == "--keep") {
      options.keep = value;
    } else if (word == "--lie") {
      options.lie = value;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  auto options = holdfast::parse(argc, argv);
  if (!options) {
    std::fputs(
        "usage: simulated_power_cut [--subsets N] [--seed S] [--part I/N] [--folder DIR] [--keep DIR] "
        "[--notices [--lie NAME]]\n",
        stderr);
    return 64;
  }
  std::error_code code;
  // In memory where possible: what is tried here is not this machine's disk.
  auto above = options->folder;
  if (above.empty())
    above =
        std::filesystem::is_directory("/dev/shm", code) ? "/dev/shm" : std::filesystem::temp_directory_path();
  std::string own = (above / "holdfast-power-cut-XXXXXX").string();
  if (::mkdtemp(own.data()) == nullptr) {
    std::perror(own.c_str());
    return 1;
  }
  options->folder = own;
  const int result = holdfast::run_all(*options);
  std::filesystem::remove_all(own, code);
  return result;
}
