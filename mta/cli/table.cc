#include "mta/cli/table.h"

#include <algorithm>

#include "mta/cli/common.h"

namespace holdfast {

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

void Table::add(std::vector<std::string> row) {
  row.resize(header_.size());
  for (std::string& cell : row) cell = printable(cell);
  rows_.push_back(std::move(row));
}

std::string Table::text(bool for_terminal) const {
  std::string out;
  if (!for_terminal) {
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) out += (i == 0 ? "" : "\t") + row[i];
      out += '\n';
    }
    return out;
  }
  if (rows_.empty()) return out;
  std::vector<std::size_t> widths;
  for (const std::string& title : header_) widths.push_back(display_width(title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  const auto line = [&](const std::vector<std::string>& row) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i)
      text += row[i] + (i + 1 == row.size() ? "" : std::string(widths[i] - display_width(row[i]) + 2, ' '));
    while (text.ends_with(' ')) text.pop_back();
    return text + "\n";
  };
  out += line(header_);
  for (const auto& row : rows_) out += line(row);
  return out;
}

}  // namespace holdfast
