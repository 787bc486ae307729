#include "config/secret.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace holdfast {
namespace {

// What stands in the memory of a string, also behind its end.
std::string memory_of(const std::string& text) { return std::string(text.data(), text.capacity()); }

TEST(Secret, WipesAStringWithAllThatStandsBehindItsEnd) {
  std::string text = "a password that is not short at all";
  text.resize(3);
  wipe(text);
  EXPECT_EQ(text, "");
  EXPECT_EQ(memory_of(text).find("password"), std::string::npos);
  std::string shorter = "pencil";
  wipe(shorter);
  EXPECT_EQ(memory_of(shorter).find("encil"), std::string::npos);
}

TEST(Secret, LeavesNothingBehindInAStringThatWasMoved) {
  std::string text = heap_text("pencil");
  const std::string moved = std::move(text);
  EXPECT_EQ(moved, "pencil");
  EXPECT_EQ(memory_of(text).find("encil"), std::string::npos);  // NOLINT: looked at on purpose
}

TEST(Secret, WipesWhenTheScopeEnds) {
  std::string text = heap_text("pencil");
  const char* at = text.data();
  { const WipeAtEnd wiped(text); }
  EXPECT_EQ(std::string(at, 6), std::string(6, '\0'));
}

TEST(Secret, IsMovedAndNotCopied) {
  Secret first("pencil");
  const char* at = first.text().data();
  Secret second = std::move(first);
  EXPECT_EQ(second.text(), "pencil");
  EXPECT_EQ(second.text().data(), at);
  EXPECT_TRUE(first.empty());  // NOLINT: looked at on purpose
  second = Secret("another");
  EXPECT_EQ(second.text(), "another");
}

TEST(Secret, IsReadFromAFileUpToALimit) {
  const auto path = std::filesystem::path(testing::TempDir()) / ("secret-" + std::to_string(::getpid()));
  std::ofstream(path) << "pencil\n";
  EXPECT_EQ(read_secret_file(path, 100)->text(), "pencil\n");
  EXPECT_EQ(read_secret_file(path, 3)->text(), "pen");
  std::filesystem::remove(path);
  EXPECT_FALSE(read_secret_file(path, 100));
  EXPECT_EQ(errno, ENOENT);
}

}  // namespace
}  // namespace holdfast
