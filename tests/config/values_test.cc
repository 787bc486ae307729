#include "config/values.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST(Values, DurationsHaveOneNumberAndOneUnit) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("5d"), 120h);
  EXPECT_EQ(parse_duration("2w"), 336h);
  EXPECT_EQ(parse_duration("0"), 0ms);
  for (const char* bad :
       {"", "5", "m", "-5m", "5 m", "5M", "1h30m", "1.5h", "99999999999d", "18446744073709551616ms"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Values, PrintedValuesReadBackAsTheSame) {
  for (const char* text : {"0", "1ms", "1500ms", "90s", "5m", "4h", "7d", "14d"})
    EXPECT_EQ(print_duration(*parse_duration(text)), text);
  for (const char* text : {"0", "100B", "64KiB", "25MiB", "1GiB", "3TiB"})
    EXPECT_EQ(print_size(*parse_size(text)), text);
  for (const char* text : {"2000/h", "10/10m", "600/m", "1/250ms", ""})
    EXPECT_EQ(print_rate(*parse_rate(text)), text);
  for (const char* text : {"5%", "0.5%", "0%", "1GiB"})
    EXPECT_EQ(print_disk_reserve(*parse_disk_reserve(text)), text);
  for (const char* text : {"0", "100B/s", "1KiB/s"}) EXPECT_EQ(print_byte_rate(*parse_byte_rate(text)), text);
  for (const char* text : {"2026-12-01", "2028-02-29"}) EXPECT_EQ(print_date(*parse_date(text)), text);
}

TEST(Values, SizesKnowBinaryUnitsOnly) {
  EXPECT_EQ(parse_size("25MiB"), 26214400U);
  EXPECT_EQ(parse_size("512"), 512U);
  for (const char* bad : {"", "25MB", "25 MiB", "-1B", "1.5MiB", "KiB", "20000000TiB"})
    EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Values, ARateOfNothingIsRefused) {
  EXPECT_EQ(parse_rate("2000/h"), (Rate{2000, 1h}));
  EXPECT_TRUE(parse_rate("")->unlimited());
  for (const char* bad : {"0/h", "5", "/h", "5/", "5/0", "5/0s", "h/5", "5/hour", "-5/h"})
    EXPECT_FALSE(parse_rate(bad)) << bad;
}

TEST(Values, DatesMustExist) {
  for (const char* bad : {"2026-02-30", "2026-13-01", "2026-1-1", "20261201", "2026-12-01T00", "+026-12-01"})
    EXPECT_FALSE(parse_date(bad)) << bad;
}

TEST(Values, PercentagesEndBelowAHundred) {
  for (const char* bad : {"100%", "-1%", "nan%", "%", "5 %", "1e1%"})
    EXPECT_FALSE(parse_disk_reserve(bad)) << bad;
}

}  // namespace
}  // namespace holdfast
