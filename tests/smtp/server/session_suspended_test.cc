// Who is suspended while a message comes: it is not queued, though it was let in at MAIL.
#include <gtest/gtest.h>

#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

const std::string kAdmitted = "MAIL FROM:<app@example.com>\r\nRCPT TO:<a@b.example>\r\n";

class SuspendedMeanwhile : public testing::Test {
 protected:
  SuspendedMeanwhile() : client_(kSubmission) { client_.logs_in(); }
  SessionHarness client_;
};

TEST_F(SuspendedMeanwhile, IsNotHeardAtTheEndOfTheData) {
  client_.sends(kAdmitted + "DATA\r\nhalf of it\r\n");
  client_.users.suspended = true;
  EXPECT_EQ(client_.sends("and the rest\r\n.\r\n"), "530 5.7.0 Log in by AUTH first\r\n");
  EXPECT_TRUE(client_.sink.messages.empty());
  EXPECT_EQ(client_.sink.aborted.size(), 1U);
  EXPECT_TRUE(client_.log.holds("\"user\":\"app\"")) << "the refusal says whose message it was";
  EXPECT_EQ(client_.codes("MAIL FROM:<app@example.com>"), "530");
  EXPECT_EQ(client_.metrics.count("submission_rejections_total{reason=auth_required}"), 2U);
}

TEST_F(SuspendedMeanwhile, IsNotHeardAtTheLastChunk) {
  client_.sends(kAdmitted + "BDAT 12\r\nhalf of it\r\n");
  client_.users.suspended = true;
  EXPECT_EQ(codes_of(client_.sends("BDAT 14 LAST\r\nand the rest\r\nNOOP\r\n")), "530 250");
  EXPECT_TRUE(client_.sink.messages.empty());
}

TEST_F(SuspendedMeanwhile, WhoseNameIsGoneMayTryAgain) {
  client_.sends(kAdmitted + "DATA\r\nhalf of it\r\n");
  client_.users.removed = true;
  EXPECT_EQ(client_.sends("and the rest\r\n.\r\n"),
            "451 4.7.0 Your user is not known right now; try again in a moment\r\n");
  EXPECT_TRUE(client_.sink.messages.empty());
  client_.users.removed = false;
  EXPECT_EQ(client_.codes(kAdmitted + "DATA\r\nall of it\r\n."), "250 250 354 250");
  client_.users.removed = true;
  EXPECT_EQ(client_.codes("MAIL FROM:<app@example.com>"), "530");
}

TEST_F(SuspendedMeanwhile, HearsFirstWhatIsWrongWithTheContent) {
  client_.sends(kAdmitted + "DATA\r\na\nb\r\n");
  client_.users.suspended = true;
  EXPECT_EQ(codes_of(client_.sends(".\r\n")), "554");
  EXPECT_EQ(client_.codes("MAIL FROM:<app@example.com>"), "530");
}

}  // namespace
}  // namespace holdfast
