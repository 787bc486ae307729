// mta/cli/table.h — rows for people or for cut(1): aligned with a header on a terminal, else tab-separated.
#pragma once

#include <string>
#include <vector>

namespace holdfast {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void add(std::vector<std::string> row);  // cells may hold anything; they are made printable
  bool empty() const { return rows_.empty(); }
  std::string text(bool for_terminal) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// Columns that a text fills on a terminal, taking each code point as one.
std::size_t display_width(std::string_view text);

}  // namespace holdfast
