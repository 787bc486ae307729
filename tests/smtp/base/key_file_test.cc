#include "smtp/base/key_file.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <functional>
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
  for (const std::string torn : {"", "half of a key"}) {
    std::ofstream(file_) << torn;
    const auto key = load_or_make_key(file_);
    ASSERT_TRUE(key) << key.error().text();
    EXPECT_EQ(load_or_make_key(file_).value(), *key);
    EXPECT_EQ(files(), 1U);
  }
}

TEST_F(KeyFile, ALongerOneCountsByItsBeginningAndStays) {
  const std::string key = "0123456789abcdef0123456789abcdef";
  for (const std::string& text : {key + "\n", key + key}) {
    std::ofstream(file_) << text;
    EXPECT_EQ(load_or_make_key(file_).value(), key);
    EXPECT_EQ(std::filesystem::file_size(file_), text.size());
  }
}

// A thread of its own in which a system call fails as on such a file system; false: that cannot be had here.
bool without_links(bool without_renameat2, const std::function<void()>& job) {
  bool done = false;
  std::thread([&] {
    const std::uint32_t no_links = SECCOMP_RET_ERRNO | EPERM;
    const std::uint32_t no_flags = without_renameat2 ? SECCOMP_RET_ERRNO | EINVAL : SECCOMP_RET_ALLOW;
    std::vector<sock_filter> filter;
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    const auto answer = [&](long call, std::uint32_t with) {
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
      filter.push_back(BPF_STMT(BPF_RET | BPF_K, with));
    };
#ifdef SYS_link
    answer(SYS_link, no_links);
#endif
    answer(SYS_linkat, no_links);
    answer(SYS_renameat2, no_flags);
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return;
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return;
    job();
    done = true;
  }).join();
  return done;
}

TEST_F(KeyFile, IsKeptWhereTheFileSystemHasNoHardLinks) {
  for (const bool without_renameat2 : {false, true}) {
    std::string key;
    const auto make = [&] {
      auto made = load_or_make_key(file_);
      key = made ? *made : made.error().text();
    };
    if (!without_links(without_renameat2, make)) GTEST_SKIP() << "no system call filter can be set here";
    EXPECT_EQ(key.size(), kKeySize);
    EXPECT_EQ(load_or_make_key(file_).value(), key);
    EXPECT_EQ(files(), 1U);
    std::ofstream(file_) << "torn";
    without_links(without_renameat2, make);
    EXPECT_EQ(load_or_make_key(file_).value(), key);
    EXPECT_EQ(files(), 1U);
    std::filesystem::remove(file_);
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
