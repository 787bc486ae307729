// tlsrpt/report_part.h — finds the report in a mail: the one MIME part that matters, decoded. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// The content of the first part that is, by its type or file name, a TLS report; nullopt when there is none.
std::optional<std::string> find_report_part(std::string_view message);

}  // namespace holdfast
