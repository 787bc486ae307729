// What the commands are made of.
#include <gtest/gtest.h>

#include "mta/cli/admin_client.h"
#include "mta/cli/common.h"
#include "mta/cli/table.h"

namespace holdfast {
namespace {

TEST(Printable, TakesTheTerminalOutOfAPeersHands) {
  EXPECT_EQ(printable("a\x1b[2J\r\n\tb\x7f"), "a?[2J???b?");
  EXPECT_EQ(printable("caf\u00e9 \u202egnp.exe\u2066 \u009b"), "caf\u00e9 ?gnp.exe? ?");
}

TEST(Table, AlignsOnATerminalByWhatIsSeen) {
  Table table({"NAME", "STATE"});
  table.add({"caf\u00e9", "on"});
  table.add({"long name", "off"});
  EXPECT_EQ(table.text(true), "NAME       STATE\ncaf\u00e9       on\nlong name  off\n");
  EXPECT_EQ(table.text(false), "caf\u00e9\ton\nlong name\toff\n");
}

TEST(AdminClient, EncodesItsQueries) {
  EXPECT_EQ(request_target("/v1/queue", {{"to", "a b&c=d@e"}, {"user", "\xc3\xa9"}}),
            "/v1/queue?to=a%20b%26c%3Dd%40e&user=%C3%A9");
}

}  // namespace
}  // namespace holdfast
