// What the built program is made of, and what it does to its own process before anything else.
#include <elf.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "mta/process.h"

namespace holdfast {
namespace {

// A 64-bit ELF file, read octet by octet: readelf is no part of every machine.
class Program {
 public:
  explicit Program(const char* path) {
    std::ifstream in(path, std::ios::binary);
    octets_.assign(std::istreambuf_iterator<char>(in), {});
    if (octets_.size() < sizeof(Elf64_Ehdr) || std::memcmp(octets_.data(), ELFMAG, SELFMAG) != 0)
      throw std::runtime_error(std::string(path) + " is no ELF file");
    header_ = at<Elf64_Ehdr>(0);
    for (std::size_t i = 0; i < header_.e_phnum; ++i)
      segments_.push_back(at<Elf64_Phdr>(header_.e_phoff + i * header_.e_phentsize));
    for (std::size_t i = 0; i < header_.e_shnum; ++i)
      sections_.push_back(at<Elf64_Shdr>(header_.e_shoff + i * header_.e_shentsize));
  }

  const Elf64_Ehdr& header() const { return header_; }
  const std::vector<Elf64_Phdr>& segments() const { return segments_; }

  std::vector<Elf64_Xword> dynamic(Elf64_Sxword tag) const {
    std::vector<Elf64_Xword> values;
    for (const auto& section : sections_) {
      if (section.sh_type != SHT_DYNAMIC) continue;
      for (std::size_t i = 0; i < section.sh_size / sizeof(Elf64_Dyn); ++i) {
        const auto entry = at<Elf64_Dyn>(section.sh_offset + i * sizeof(Elf64_Dyn));
        if (entry.d_tag == tag) values.push_back(entry.d_un.d_val);
      }
    }
    return values;
  }

  // Whether it asks the C library for a function of such a name.
  bool imports(const std::function<bool(const std::string&)>& wanted) const {
    for (const auto& section : sections_) {
      if (section.sh_type != SHT_DYNSYM) continue;
      const std::size_t names = sections_.at(section.sh_link).sh_offset;
      for (std::size_t i = 0; i < section.sh_size / sizeof(Elf64_Sym); ++i) {
        const auto symbol = at<Elf64_Sym>(section.sh_offset + i * sizeof(Elf64_Sym));
        if (symbol.st_shndx == SHN_UNDEF && wanted(octets_.data() + names + symbol.st_name)) return true;
      }
    }
    return false;
  }

 private:
  template <class Part>
  Part at(std::size_t offset) const {
    Part part;
    if (offset + sizeof part > octets_.size()) throw std::runtime_error("the ELF file is cut off");
    std::memcpy(&part, octets_.data() + offset, sizeof part);
    return part;
  }

  std::string octets_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Shdr> sections_;
};

bool has_flag(const std::vector<Elf64_Xword>& values, Elf64_Xword flag) {
  return !values.empty() && (values.front() & flag) != 0;
}

const Program& binary() {
  static const Program program(HOLDFAST_BINARY);
  return program;
}

TEST(Binary, IsLoadedAtARandomAddress) {
  EXPECT_EQ(binary().header().e_type, ET_DYN);
  EXPECT_TRUE(has_flag(binary().dynamic(DT_FLAGS_1), DF_1_PIE));
}

TEST(Binary, HasNothingLeftToRelocateOnceItRuns) {
  bool relro = false;
  for (const auto& segment : binary().segments()) relro = relro || segment.p_type == PT_GNU_RELRO;
  EXPECT_TRUE(relro);
  EXPECT_TRUE(has_flag(binary().dynamic(DT_FLAGS), DF_BIND_NOW) ||
              has_flag(binary().dynamic(DT_FLAGS_1), DF_1_NOW));
}

TEST(Binary, HasNoMemoryToWriteAndToRun) {
  bool stack = false;
  for (const auto& segment : binary().segments()) {
    if (segment.p_type != PT_LOAD && segment.p_type != PT_GNU_STACK) continue;
    EXPECT_NE(segment.p_flags & (PF_W | PF_X), Elf64_Word{PF_W | PF_X});
    stack = stack || segment.p_type == PT_GNU_STACK;
  }
  EXPECT_TRUE(stack) << "without this segment the stack can be run";
}

TEST(Binary, TakesLibrariesFromTheSystemAlone) {
  EXPECT_TRUE(binary().dynamic(DT_RPATH).empty());
  EXPECT_TRUE(binary().dynamic(DT_RUNPATH).empty());
}

TEST(Binary, ProtectsItsStack) {
#ifdef HOLDFAST_SANITIZED
  GTEST_SKIP() << "the sanitizer does";
#endif
  EXPECT_TRUE(binary().imports([](const std::string& name) { return name == "__stack_chk_fail"; }));
}

TEST(Binary, IsFortified) {
#ifndef HOLDFAST_FORTIFIED
  GTEST_SKIP() << "optimised builds are";
#endif
  // __memcpy_chk, __vsnprintf_chk and their like: whichever calls the compiler could not prove right.
  EXPECT_TRUE(binary().imports(
      [](const std::string& name) { return name.starts_with("__") && name.ends_with("_chk"); }));
}

// In a child, since it cannot be undone.
int in_a_child(const std::function<bool()>& holds) {
  const pid_t child = fork();
  if (child == 0) {
    harden_process();
    _exit(holds() ? 0 : 1);
  }
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(HardenedProcess, CanGainNoPrivileges) {
  EXPECT_EQ(in_a_child([] { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }), 0);
}

TEST(HardenedProcess, ShowsItsMemoryToNobody) {
  EXPECT_EQ(in_a_child([] { return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0; }), 0);
}

TEST(HardenedProcess, MakesFilesForItsOwnerAlone) {
  EXPECT_EQ(in_a_child([] { return ::umask(0) == 0077; }), 0);
}

TEST(HardenedProcess, MakesASpoolForItselfAlone) {
  std::string folder = (std::filesystem::temp_directory_path() / "holdfast-spool-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const auto spool = std::filesystem::path(folder) / "var" / "spool";
  const auto prepared = [&] {
    std::string warning;
    return prepare_data_dir(spool, warning).has_value() && warning.empty();
  };
  EXPECT_EQ(in_a_child(prepared), 0);
  EXPECT_EQ(std::filesystem::status(spool).permissions(), std::filesystem::perms::owner_all);
  std::filesystem::remove_all(folder);
}

TEST(HardenedProcess, SaysWhenOthersMayLookIntoTheSpoolAndStopsWhenTheyMayWrite) {
  std::string folder = (std::filesystem::temp_directory_path() / "holdfast-spool-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
  std::string warning;
  EXPECT_TRUE(prepare_data_dir(folder, warning));
  EXPECT_NE(warning.find("chmod 0700"), std::string::npos) << warning;
  for (const mode_t mode : {0702, 01777}) {
    ASSERT_EQ(::chmod(folder.c_str(), mode), 0);
    const auto prepared = prepare_data_dir(folder, warning);
    ASSERT_FALSE(prepared) << mode;
    EXPECT_NE(prepared.error().text().find("written by others"), std::string::npos)
        << prepared.error().text();
  }
  std::filesystem::remove_all(folder);
}

TEST(HardenedProcess, TestCanFail) {
  EXPECT_EQ(in_a_child([] { return false; }), 1);
}

}  // namespace
}  // namespace holdfast
