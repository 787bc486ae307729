#include "tests/power_cut/disk_model.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSector = 512;

std::string folder_of(const std::string& path) { return fs::path(path).parent_path().string(); }

// SQLite writes it through a mapping, so nobody saw what is in it.
bool is_unseen(const std::string& path) { return path.ends_with("-shm"); }

}  // namespace

DiskImage DiskImage::read(const fs::path& folder) {
  DiskImage image;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (entry.is_directory()) {
      image.folders.insert(name);
    } else {
      std::ostringstream octets;
      octets << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      image.files[name] = is_unseen(name) ? "" : std::move(octets).str();
    }
  }
  return image;
}

void DiskImage::write(const fs::path& folder) const {
  // What stays need not be made again.
  std::vector<fs::path> superfluous;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string name = entry.path().lexically_relative(folder).string();
      if (!entry.is_directory() || !folders.contains(name)) superfluous.push_back(entry.path());
    }
  }
  for (const auto& path : superfluous) fs::remove_all(path);
  fs::create_directories(folder);
  for (const auto& name : folders) fs::create_directory(folder / name);
  for (const auto& [name, octets] : files) {
    std::ofstream file(folder / name, std::ios::binary);
    file << octets;
    if (!file.flush()) throw std::runtime_error("writing " + name + " failed");
  }
}

const char* name(Survival survival) {
  const char* const names[] = {"nothing",   "everything", "the last only", "headers only", "in order",
                               "reordered", "any"};
  return names[static_cast<int>(survival)];
}

DiskModel::DiskModel(const DiskImage& at_first) : at_first_(at_first) {
  for (const auto& folder : at_first_.folders) {
    folders_[folder];
    folders_[folder_of(folder)].synced[folder] = folders_[folder_of(folder)].now[folder] = {true, 0};
  }
}

void DiskModel::apply(std::string& octets, const Change& change) {
  if (change.resizes) {
    octets.resize(change.at);
    return;
  }
  if (octets.size() < change.at + change.octets.size()) octets.resize(change.at + change.octets.size());
  octets.replace(change.at, change.octets.size(), change.octets);
}

void DiskModel::apply(std::map<std::string, Entry>& names, const NameChange& change) {
  if (!change.gone.empty()) names.erase(change.gone);
  if (!change.made.empty()) names[change.made] = change.entry;
}

void DiskModel::change_name(const std::string& gone, const std::string& made, Entry entry) {
  const std::string folder = folder_of(made.empty() ? gone : made);
  if (!gone.empty() && !made.empty() && folder_of(gone) != folder)
    throw std::logic_error(
        "a name moved to another folder: the model does not know what may survive of that");
  Folder& in = folders_.at(folder);
  in.pending.push_back({calls_, gone, made, entry});
  apply(in.now, in.pending.back());
}

void DiskModel::play(const DiskCall& call) {
  using What = DiskCall::What;
  ++calls_;
  switch (call.what) {
    case What::found: {
      files_[call.file].synced = at_first_.files.at(call.path);
      auto& in = folders_.at(folder_of(call.path));
      in.synced[call.path] = in.now[call.path] = {false, call.file};
      return;
    }
    case What::make_folder:
      if (folders_.contains(call.path)) return;  // found
      folders_[call.path];
      return change_name("", call.path, {true, 0});
    case What::create: files_[call.file]; return change_name("", call.path, {false, call.file});
    case What::write: files_[call.file].pending.push_back({calls_, false, call.at, call.octets}); return;
    case What::resize: files_[call.file].pending.push_back({calls_, true, call.at, ""}); return;
    case What::sync: {
      File& file = files_[call.file];
      for (const auto& change : file.pending) apply(file.synced, change);
      file.pending.clear();
      return;
    }
    case What::sync_folder: {
      Folder& folder = folders_.at(call.path);
      folder.synced = folder.now;
      folder.pending.clear();
      return;
    }
    case What::remove: return change_name(call.path, "", {});
    case What::rename: {
      const Entry entry = folders_.at(folder_of(call.path)).now.at(call.path);
      return change_name(call.path, call.to, entry);
    }
  }
}

bool DiskModel::all_synced() const {
  return std::ranges::all_of(files_, [](const auto& f) { return f.second.pending.empty(); }) &&
         std::ranges::all_of(folders_, [](const auto& f) { return f.second.pending.empty(); });
}

class DiskModel::Cutter {
 public:
  Cutter(const DiskModel& model, Survival survival, std::mt19937_64& dice)
      : model_(model), survival_(survival), dice_(dice), moment_(dice_() % (model.calls_ + 1)) {
    if (survival != Survival::in_order && survival != Survival::reordered) return;
    // A moment among those that are not synced.
    std::vector<std::uint64_t> pending;
    for (const auto& [number, file] : model.files_)
      for (const auto& change : file.pending) pending.push_back(change.number);
    for (const auto& [path, folder] : model.folders_)
      for (const auto& change : folder.pending) pending.push_back(change.number);
    if (!pending.empty()) moment_ = pending[dice_() % pending.size()];
  }

  DiskImage cut() {
    look_into("");
    return std::move(image_);
  }

 private:
  double chance() { return std::uniform_real_distribution<double>()(dice_); }
  // Few, some, half, most, nearly all: the interesting disks are at the ends.
  double likelihood() {
    static constexpr double kOf[] = {0.03, 0.2, 0.5, 0.8, 0.97};
    return kOf[dice_() % std::size(kOf)];
  }

  bool survives(std::uint64_t number, bool is_last, bool is_first_octet, double likely) {
    switch (survival_) {
      case Survival::nothing: return false;
      case Survival::everything: return true;
      case Survival::last_only: return is_last;
      case Survival::header_only: return is_first_octet;
      case Survival::in_order: return number <= moment_;
      case Survival::reordered: return number >= moment_;
      case Survival::any: return chance() < likely;
    }
    return false;
  }

  void look_into(const std::string& path) {
    const Folder& folder = model_.folders_.at(path);
    auto names = folder.synced;
    const double likely = likelihood();
    for (const auto& change : folder.pending)
      if (survives(change.number, &change == &folder.pending.back(), true, likely)) apply(names, change);
    for (const auto& [name, entry] : names) {
      if (entry.is_folder) {
        image_.folders.insert(name);
        look_into(name);
      } else {
        image_.files[name] = is_unseen(name) ? rubbish(32768) : content(model_.files_.at(entry.file));
      }
    }
  }

  std::string content(const File& file) {
    if (file.pending.empty()) return file.synced;
    std::string octets = file.synced;
    std::vector<std::size_t> lengths{octets.size()};  // that it had one after the other, and survive
    std::size_t longest = octets.size(), length = octets.size();
    for (const auto& change : file.pending) {
      length = change.resizes ? change.at : std::max(length, change.at + change.octets.size());
      longest = std::max(longest, length);
    }
    octets.resize(longest);
    if (survival_ == Survival::any && longest > file.synced.size() && chance() < 0.25)
      octets.replace(file.synced.size(), std::string::npos, rubbish(longest - file.synced.size()));
    length = file.synced.size();
    const double likely = likelihood();
    const bool whole_writes = chance() < 0.5;
    for (const auto& change : file.pending) {
      const bool is_last = &change == &file.pending.back();
      const bool kept = survives(change.number, is_last, change.at == 0, likely);
      length = change.resizes ? change.at : std::max(length, change.at + change.octets.size());
      if (kept || survival_ == Survival::header_only) lengths.push_back(length);
      if (change.resizes) {
        if (kept && change.at < longest)
          std::fill(octets.begin() + static_cast<long>(change.at), octets.end(), '\0');
      } else if (survival_ == Survival::any && !whole_writes) {
        write_sectors(octets, change, likely);
      } else if (kept) {
        octets.replace(change.at, change.octets.size(), change.octets);
      }
    }
    octets.resize(survival_ == Survival::any ? some_length(lengths) : lengths.back());
    return octets;
  }

  void write_sectors(std::string& octets, const Change& change, double likely) {
    std::size_t done = 0;
    while (done < change.octets.size()) {
      const std::size_t at = change.at + done;
      const std::size_t size = std::min(kSector - at % kSector, change.octets.size() - done);
      if (chance() < likely) {
        // Torn: its beginning or its end.
        const bool torn = chance() < 0.05;
        const std::size_t from = torn && chance() < 0.5 ? dice_() % size : 0;
        const std::size_t to = torn && from == 0 ? dice_() % size : size;
        octets.replace(at + from, to - from, change.octets, done + from, to - from);
      }
      done += size;
    }
  }

  std::size_t some_length(const std::vector<std::size_t>& lengths) {
    const std::size_t one = lengths[dice_() % lengths.size()], other = lengths[dice_() % lengths.size()];
    if (chance() < 0.7 || one == other) return one;
    const std::size_t between =
        std::min(one, other) + dice_() % (std::max(one, other) - std::min(one, other));
    return std::max(std::min(one, other), between / kSector * kSector);
  }

  std::string rubbish(std::size_t size) {
    std::string octets(size, '\0');
    for (auto& octet : octets) octet = static_cast<char>(dice_());
    return octets;
  }

  const DiskModel& model_;
  const Survival survival_;
  std::mt19937_64& dice_;
  std::uint64_t moment_;
  DiskImage image_;
};

DiskImage DiskModel::cut(Survival survival, std::mt19937_64& dice) const {
  return Cutter(*this, survival, dice).cut();
}

}  // namespace holdfast
