#include "smtp/base/directory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class MakeDirectories : public testing::Test {
 protected:
  MakeDirectories() {
    std::string name = (fs::temp_directory_path() / "holdfast-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~MakeDirectories() override {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path path_;
};

TEST_F(MakeDirectories, MakesAllThatAreMissing) {
  const auto made = make_directories(path_ / "a/b/c");
  ASSERT_TRUE(made);
  EXPECT_TRUE(*made);
  EXPECT_TRUE(fs::is_directory(path_ / "a/b/c"));
}

TEST_F(MakeDirectories, SaysThatOneWasThere) {
  const auto made = make_directories(path_);
  ASSERT_TRUE(made);
  EXPECT_FALSE(*made);
}

TEST_F(MakeDirectories, TakesANameThatEndsInASlash) {
  ASSERT_TRUE(make_directories(path_.string() + "/a/"));
  EXPECT_TRUE(fs::is_directory(path_ / "a"));
}

TEST_F(MakeDirectories, FailsBelowAFile) {
  std::ofstream(path_ / "file") << "here";
  EXPECT_FALSE(make_directories(path_ / "file/a"));
}

TEST_F(MakeDirectories, SyncsOnlyDirectories) {
  std::ofstream(path_ / "file") << "here";
  EXPECT_TRUE(sync_directory(path_));
  EXPECT_FALSE(sync_directory(path_ / "file"));
}

}  // namespace
}  // namespace holdfast
