#include "smtp/base/sqlite.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

namespace holdfast {
namespace {

class SqliteTest : public testing::Test {
 protected:
  SqliteTest() : folder_(std::filesystem::temp_directory_path() / "holdfast-sqlite-XXXXXX") {
    std::string name = folder_.string();
    folder_ = mkdtemp(name.data());
  }
  ~SqliteTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path path() const { return folder_ / "test.db"; }

 private:
  std::filesystem::path folder_;
};

TEST_F(SqliteTest, KeepsWhatWasBoundIncludingEmptyTextAndZeroOctets) {
  auto db = SqliteDb::open(path());
  ASSERT_TRUE(db) << db.error().text();
  ASSERT_TRUE(db->exec("CREATE TABLE t(a INTEGER, b TEXT, c BLOB, d REAL, e)"));
  auto insert = db->prepare("INSERT INTO t VALUES(?,?,?,?,?)");
  ASSERT_TRUE(insert);
  const std::string octets("x\0y", 3);
  ASSERT_TRUE(insert->bind(1, std::int64_t{-7})
                  .bind(2, std::string_view())
                  .bind_blob(3, octets)
                  .bind(4, 0.5)
                  .bind_null(5)
                  .run());
  auto select = db->prepare("SELECT a, b, c, d, e FROM t");
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->integer(0), -7);
  EXPECT_FALSE(select->is_null(1));
  EXPECT_EQ(select->text(1), "");
  EXPECT_EQ(select->blob(2), octets);
  EXPECT_EQ(select->real(3), 0.5);
  EXPECT_TRUE(select->is_null(4));
  EXPECT_FALSE(*select->step());
}

TEST_F(SqliteTest, NamesTheFileThatIsNoDatabase) {
  std::ofstream(path()) << std::string(4096, 'x');
  auto db = SqliteDb::open(path());
  ASSERT_FALSE(db);
  EXPECT_TRUE(db.error().is(SqliteError::damaged)) << db.error().text();
  EXPECT_NE(db.error().text().find("test.db"), std::string::npos);
}

// A process that closes any descriptor of a file loses all its locks on it (fcntl(2)). Without them another
// process that closes the database takes itself for the last, and removes the log that is still written to.
TEST_F(SqliteTest, IsNeverTakenForClosedByAnotherProcess) {
  auto db = SqliteDb::open(path());
  ASSERT_TRUE(db);
  ASSERT_TRUE(db->exec("CREATE TABLE t(a); INSERT INTO t VALUES(1)"));
  auto second = SqliteDb::open(path());
  ASSERT_TRUE(second);
  const std::string other = "sqlite3 '" + path().string() + "' '.backup " + path().string() + ".copy'";
  ASSERT_EQ(std::system(other.c_str()), 0) << "the program sqlite3 of Debian's package";
  EXPECT_TRUE(std::filesystem::exists(path().string() + "-wal"));
  ASSERT_TRUE(db->exec("INSERT INTO t VALUES(2)"));
  // What a process that starts after a crash of this one would see.
  EXPECT_GT(std::filesystem::file_size(path().string() + "-wal"), 0U);
}

TEST_F(SqliteTest, KeepsOthersOut) {
  auto db = SqliteDb::open(path());
  ASSERT_TRUE(db);
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SqliteTest, RefusesASecondOpenerWhenExclusive) {
  SqliteOptions options;
  options.exclusive = true;
  options.busy_timeout_ms = 0;
  auto first = SqliteDb::open(path(), options);
  ASSERT_TRUE(first);
  ASSERT_TRUE(first->exec("CREATE TABLE t(a)"));
  auto second = SqliteDb::open(path(), options);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(SqliteError::busy)) << second.error().text();
}

TEST_F(SqliteTest, SaysWhichConstraintWasBroken) {
  auto db = SqliteDb::open(path());
  ASSERT_TRUE(db->exec("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES(1)"));
  auto again = db->exec("INSERT INTO t VALUES(1)");
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().is(SqliteError::constraint));
}

TEST_F(SqliteTest, PreparesSeveralStatementsOrTellsWhichOneIsWrong) {
  auto db = SqliteDb::open(path());
  ASSERT_TRUE(db->exec("CREATE TABLE t(a INTEGER)"));
  SqliteStatement insert, count, wrong;
  ASSERT_TRUE(db->prepare_all({{&insert, "INSERT INTO t VALUES(?)"}, {&count, "SELECT count(*) FROM t"}}));
  ASSERT_TRUE(insert.bind(1, std::int64_t{1}).run());
  ASSERT_TRUE(*count.step());
  EXPECT_EQ(count.integer(0), 1);
  count.reset();
  const auto made = db->prepare_all({{&wrong, "SELECT b FROM t"}});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text().find("SELECT b FROM t"), std::string::npos) << made.error().text();
}

TEST_F(SqliteTest, KeepsATransactionWholeOrNotAtAll) {
  auto db = SqliteDb::open(path());
  ASSERT_TRUE(db->exec("CREATE TABLE t(a INTEGER UNIQUE)"));
  auto insert = db->prepare("INSERT INTO t VALUES(?)");
  auto count = db->prepare("SELECT count(*) FROM t");
  const auto rows = [&] {
    EXPECT_TRUE(*count->step());
    const auto found = count->integer(0);
    count->reset();
    return found;
  };
  EXPECT_TRUE(db->in_transaction([&] { return insert->bind(1, std::int64_t{1}).run(); }));
  EXPECT_EQ(rows(), 1);
  const auto done = db->in_transaction([&]() -> Result<void> {
    if (auto two = insert->bind(1, std::int64_t{2}).run(); !two) return two.error();
    return insert->bind(1, std::int64_t{1}).run();
  });
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().is(SqliteError::constraint));
  EXPECT_EQ(rows(), 1);
  EXPECT_TRUE(db->in_transaction([&] { return insert->bind(1, std::int64_t{3}).run(); }));
  EXPECT_EQ(rows(), 2);
}

}  // namespace
}  // namespace holdfast
