#include "tlsrpt/report_key.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ReportKey, ComparesThePublicPartAlone) {
  EXPECT_EQ(dkim_public_key("v=DKIM1; k=rsa; p=AB CD"), "ABCD");
  EXPECT_EQ(dkim_public_key("p=; v=DKIM1"), "");
  EXPECT_EQ(dkim_public_key("v=DKIM1"), "");
}

}  // namespace
}  // namespace holdfast
