// mta/page/page_frame.h — what all pages have: head, style, search form. Inside mta/page only.
#pragma once

#include "mta/page/html.h"
#include "smtp/base/clock.h"

namespace holdfast {

// Opens the page up to its content; `term` stands in the search field.
void begin_page(Html& html, std::string_view title, std::string_view hostname, std::string_view term);
void end_page(Html& html, WallTime now);

// "2026-11-21 14:05:09", UTC; "–" for the epoch.
std::string time_text(WallTime at);
std::int64_t seconds_between(WallTime from, WallTime to);

}  // namespace holdfast
