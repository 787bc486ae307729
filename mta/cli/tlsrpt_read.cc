#include "mta/cli/tlsrpt_read.h"

#include <algorithm>
#include <fstream>
#include <iostream>

#include "mta/cli/progress.h"
#include "tlsrpt/report_summary.h"

namespace holdfast {
namespace {

// A mail may carry a report of the largest size in base64, with a body around it.
constexpr std::size_t kMaxFile = 2 * kMaxReceivedReport;

bool looks_like_report(const std::filesystem::path& file) {
  const auto extension = file.extension();
  const auto folder = file.parent_path().filename();
  return extension == ".json" || extension == ".gz" || extension == ".eml" || folder == "cur" ||
         folder == "new";
}

// A directory's files, in the order of their names; anything else stands for itself.
std::vector<std::string> files_of(const std::string& source, std::string& wrong) {
  std::error_code code;
  if (source == "-" || !std::filesystem::is_directory(source, code)) return {source};
  std::vector<std::string> files;
  std::filesystem::recursive_directory_iterator at(source, code), end;
  for (; !code && at != end; at.increment(code)) {
    std::error_code gone;
    if (at->is_regular_file(gone) && looks_like_report(at->path())) files.push_back(at->path().string());
  }
  if (code) wrong = source + ": " + code.message();
  std::sort(files.begin(), files.end());
  return files;
}

std::string read_all(std::istream& in, std::string& octets) {
  octets.clear();
  std::vector<char> chunk(64 * 1024);
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), in.gcount() > 0) {
    octets.append(chunk.data(), static_cast<std::size_t>(in.gcount()));
    if (octets.size() > kMaxFile)
      return "is larger than any report (" + std::to_string(kMaxFile) + " octets)";
  }
  return in.bad() ? "cannot be read" : "";
}

std::string load(const std::string& file, std::string& octets) {
  if (file == "-") return read_all(std::cin, octets);
  std::error_code code;
  if (std::filesystem::is_directory(file, code)) return "is a directory";
  std::ifstream in(file, std::ios::binary);
  return in ? read_all(in, octets) : "cannot be opened";
}

}  // namespace

int tlsrpt_read(const CommonOptions& common, const std::vector<std::string>& sources) {
  std::vector<ReceivedReport> reports;
  bool bad = false;
  std::optional<Progress> bar;
  const auto refuse = [&](const std::string& text) {
    if (bar) bar->clear();
    complain(printable(text));
    bad = true;
  };
  for (const auto& source : sources) {
    std::string wrong;
    const auto files = files_of(source, wrong);
    // Standard input is typed or piped: nothing to count.
    bar.emplace(source != "-" && Progress::shown(common), "reports read", files.size());
    for (const auto& file : files) {
      bar->advance();
      std::string octets;
      if (const std::string failed = load(file, octets); !failed.empty()) {
        refuse(file + ": " + failed);
        continue;
      }
      auto report = read_received_report(octets);
      if (!report) {
        refuse(file + ": " + report.error().text());
      } else {
        reports.push_back(std::move(*report));
      }
    }
    if (!wrong.empty()) refuse(wrong);
  }
  bar.reset();
  if (reports.empty()) {
    if (!bad) complain("there is no report to read");
    return bad ? exit_code::bad_data : exit_code::no;
  }
  const ReportSummary summary = summarise(reports);
  print(common.json ? summary_json(summary) : summary_text(summary));
  return bad ? exit_code::bad_data : exit_code::yes;
}

}  // namespace holdfast
