#include "smtp/base/key_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

class KeyFile : public testing::Test {
 protected:
  KeyFile() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("holdfast-key-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
    file_ = directory_ / "x.key";
  }
  ~KeyFile() override { std::filesystem::remove_all(directory_); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory_), {}));
  }
  std::filesystem::path directory_, file_;
};

TEST_F(KeyFile, IsMadeOnceForItsOwnerAlone) {
  const auto key = load_or_make_key(file_);
  ASSERT_TRUE(key) << key.error().text();
  EXPECT_EQ(key->size(), kKeySize);
  EXPECT_EQ(load_or_make_key(file_).value(), *key);
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(files(), 1U) << "the draft is gone";
  EXPECT_NE(load_or_make_key(directory_ / "y.key").value(), *key);
}

TEST_F(KeyFile, ATornOneIsReplacedWhole) {
  for (const std::string torn : {"", "half of a key", "forty octets are more than a key can be long"}) {
    std::ofstream(file_) << torn;
    const auto key = load_or_make_key(file_);
    ASSERT_TRUE(key) << key.error().text();
    EXPECT_EQ(load_or_make_key(file_).value(), *key);
    EXPECT_EQ(files(), 1U);
  }
}

TEST_F(KeyFile, OneThatCannotBeReadIsLeftAlone) {
  std::filesystem::create_directories(file_);
  const auto key = load_or_make_key(file_);
  ASSERT_FALSE(key);
  EXPECT_TRUE(key.error().is(BaseError::io));
  EXPECT_NE(key.error().detail.find(file_.string()), std::string::npos) << key.error().detail;
  EXPECT_TRUE(std::filesystem::is_directory(file_));
  EXPECT_EQ(files(), 1U);
}

TEST_F(KeyFile, ManyWhoMakeItAtOnceHaveTheSame) {
  std::vector<std::string> keys(8);
  {
    std::vector<std::jthread> makers;
    for (std::string& key : keys) makers.emplace_back([&] { key = load_or_make_key(file_).value(); });
  }
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 1U);
  EXPECT_EQ(files(), 1U);
}

}  // namespace
}  // namespace holdfast
