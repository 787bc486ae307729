#include "tests/power_cut/disk_model.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast {
namespace {

using What = DiskCall::What;

DiskCall call(What what, const std::string& path, std::uint64_t file = 0, std::string octets = "",
              std::uint64_t at = 0, std::string to = "") {
  return {what, file, path, std::move(to), at, std::move(octets)};
}

// A file "f" that is synced with its name, all of it the letter o.
DiskModel with_old_file(std::size_t size) {
  DiskModel disk({});
  disk.play(call(What::create, "f", 1));
  disk.play(call(What::write, "f", 1, std::string(size, 'o')));
  disk.play(call(What::sync, "f", 1));
  disk.play(call(What::sync_folder, ""));
  return disk;
}

// Every disk that some hundred dice and each kind of survival give.
std::vector<DiskImage> cuts(const DiskModel& disk) {
  std::vector<DiskImage> all;
  for (unsigned seed = 0; seed < 700; ++seed) {
    std::mt19937_64 dice(seed);
    all.push_back(disk.cut(static_cast<Survival>(seed % 7), dice));
  }
  return all;
}

template <class Is>
std::ptrdiff_t count(const std::vector<DiskImage>& disks, Is is) {
  return std::count_if(disks.begin(), disks.end(), is);
}

TEST(DiskModel, KeepsWhatWasSynced) {
  const DiskModel disk = with_old_file(2000);
  EXPECT_TRUE(disk.all_synced());
  for (const auto& image : cuts(disk)) EXPECT_EQ(image.files.at("f"), std::string(2000, 'o'));
}

TEST(DiskModel, MayLoseKeepOrTearWhatWasNotSynced) {
  DiskModel disk = with_old_file(2048);
  disk.play(call(What::write, "f", 1, std::string(2048, 'n')));
  EXPECT_FALSE(disk.all_synced());
  const auto all = cuts(disk);
  const auto octets = [](const DiskImage& image) { return image.files.at("f"); };
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i) == std::string(2048, 'o'); }), 0);
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i) == std::string(2048, 'n'); }), 0);
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i)[0] == 'o' && octets(i)[2047] == 'n'; }), 0);
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i)[0] == 'n' && octets(i)[2047] == 'o'; }), 0);
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i)[0] != octets(i)[511]; }), 0);
}

TEST(DiskModel, ChangesNoOctetThatNobodyWrote) {
  DiskModel disk = with_old_file(2048);
  disk.play(call(What::write, "f", 1, std::string(100, 'n'), 700));
  for (const auto& image : cuts(disk)) {
    const std::string& octets = image.files.at("f");
    EXPECT_EQ(octets.substr(0, 700), std::string(700, 'o'));
    EXPECT_EQ(octets.substr(800), std::string(1248, 'o'));
  }
}

TEST(DiskModel, MayLoseALengthOrKeepItWithoutTheOctets) {
  DiskModel disk = with_old_file(512);
  disk.play(call(What::write, "f", 1, std::string(1536, 'n'), 512));
  const auto all = cuts(disk);
  const auto octets = [](const DiskImage& image) { return image.files.at("f"); };
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i).size() == 512; }), 0);
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i).size() == 1024; }), 0);
  EXPECT_GT(count(all, [&](const auto& i) { return octets(i).size() == 2048 && octets(i)[600] == '\0'; }), 0);
}

TEST(DiskModel, MayLoseANameThatWasNotSyncedThoughItsFileWas) {
  DiskModel disk({});
  disk.play(call(What::create, "f", 1));
  disk.play(call(What::sync, "f", 1));
  const auto all = cuts(disk);
  EXPECT_GT(count(all, [](const auto& image) { return image.files.empty(); }), 0);
  EXPECT_GT(count(all, [](const auto& image) { return image.files.contains("f"); }), 0);
}

TEST(DiskModel, LosesAllThatIsInAFolderWhoseNameIsLost) {
  DiskModel disk({});
  disk.play(call(What::make_folder, "d"));
  disk.play(call(What::create, "d/f", 1));
  disk.play(call(What::sync, "d/f", 1));
  disk.play(call(What::sync_folder, "d"));
  for (const auto& image : cuts(disk)) EXPECT_EQ(image.folders.contains("d"), image.files.contains("d/f"));
}

TEST(DiskModel, MayBringBackANameThatWasRemoved) {
  DiskModel disk = with_old_file(10);
  disk.play(call(What::remove, "f"));
  const auto all = cuts(disk);
  EXPECT_GT(count(all, [](const auto& image) { return image.files.empty(); }), 0);
  EXPECT_GT(count(all, [](const auto& image) { return image.files.contains("f"); }), 0);
}

TEST(DiskModel, RenamesWhollyOrNotAtAll) {
  DiskModel disk = with_old_file(10);
  disk.play(call(What::rename, "f", 0, "", 0, "g"));
  for (const auto& image : cuts(disk)) EXPECT_EQ(image.files.size(), 1u);
}

TEST(DiskModel, GivesTheSameDiskForTheSameDice) {
  DiskModel disk = with_old_file(5000);
  disk.play(call(What::write, "f", 1, std::string(5000, 'n')));
  EXPECT_EQ(cuts(disk), cuts(disk));
}

}  // namespace
}  // namespace holdfast
