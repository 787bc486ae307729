// `holdfast tlsrpt read`: the library of other senders' shapes in tests/tlsrpt/received, and what is no
// report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/mta/run_holdfast.h"
#include "tlsrpt/gzip.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

const std::filesystem::path kReceived = "tests/tlsrpt/received";  // tests run in the source folder

class TlsrptRead : public testing::Test {
 protected:
  TlsrptRead() {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-read-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~TlsrptRead() override { std::filesystem::remove_all(folder_); }
  Ran read(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {"tlsrpt", "read"});
    return run_holdfast(folder_, std::move(arguments), input);
  }
  std::string write(const std::string& name, const std::string& octets) {
    std::ofstream(folder_ / name, std::ios::binary) << octets;
    return (folder_ / name).string();
  }
  static std::string content(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // The three reports that the README shows.
  static std::vector<std::string> three() {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(kReceived))
      if (entry.is_regular_file()) files.push_back(entry.path().string());
    return files;
  }

  std::filesystem::path folder_;
};

TEST_F(TlsrptRead, PrintsTheTableOfTheReadme) {
  const auto ran = read(three());
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  // Whole, as it stands in the README.
  EXPECT_THAT(content("README.md"), HasSubstr("```\n" + ran.out + "```\n"));
}

TEST_F(TlsrptRead, TakesEveryShapeThatSendersUse) {
  int shapes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kReceived / "shapes")) {
    const auto ran = read({entry.path().string(), "--json"});
    EXPECT_EQ(ran.code, 0) << entry.path() << ": " << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("\"successful\":1,")) << entry.path();
    EXPECT_THAT(ran.out, HasSubstr("\"domain\":\"one.example")) << entry.path();
    ++shapes;
  }
  EXPECT_GE(shapes, 14);
  const auto together = read({kReceived.string(), "--json"});
  EXPECT_EQ(together.code, 0) << together.err;
  EXPECT_THAT(together.out, HasSubstr("\"source\":\"Searchmail Inc.\""));
  EXPECT_THAT(together.out, HasSubstr("\"source\":\"Members\""));
}

TEST_F(TlsrptRead, ReadsStandardInput) {
  const auto ran = read({"-"}, content(kReceived / "report-of-two.example.eml"));
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("sts-webpki-invalid"));
  EXPECT_THAT(ran.out, HasSubstr("relay.two.example"));
}

TEST_F(TlsrptRead, ReadsAMaildir) {
  std::filesystem::create_directories(folder_ / "mail" / "new");
  write("mail/new/1763.M1.host", content(kReceived / "report-of-two.example.eml"));
  write("mail/dovecot.index", "not for us");
  const auto ran = read({(folder_ / "mail").string()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("relay.two.example"));
}

TEST_F(TlsrptRead, NamesWhatItCannotReadAndCountsTheOthers) {
  const auto bomb = write("bomb.json.gz", gzip(std::string(64 << 20, ' ')));
  const auto text = write("letter.eml", "Subject: hello\n\nno report\n");
  auto files = three();
  files.insert(files.end(), {bomb, text, (folder_ / "missing.json").string()});
  const auto ran = read(files);
  EXPECT_EQ(ran.code, 65);
  EXPECT_THAT(ran.err, HasSubstr("bomb.json.gz: "));
  EXPECT_THAT(ran.err, HasSubstr("letter.eml: "));
  EXPECT_THAT(ran.err, HasSubstr("missing.json: cannot be opened"));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 3) << ran.err;
  EXPECT_EQ(ran.out, read(three()).out);
}

TEST_F(TlsrptRead, SaysSoWhenThereIsNothing) {
  std::filesystem::create_directory(folder_ / "empty");
  const auto ran = read({(folder_ / "empty").string()});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("there is no report to read"));
  EXPECT_EQ(read({}).code, 64);
}

}  // namespace
}  // namespace holdfast
