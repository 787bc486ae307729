// Content that is refused before or behind its octets: nothing of it is queued, and nothing of it begins
// another message.
#include <gtest/gtest.h>

#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

const std::string kFromApp = "MAIL FROM:<app@example.com>\r\nRCPT TO:<a@b.example>\r\n";

std::string chunk_of(std::string_view content, bool last) {
  return "BDAT " + std::to_string(content.size()) + (last ? " LAST\r\n" : "\r\n") + std::string(content);
}

class RefusedContent : public testing::Test {
 protected:
  RefusedContent() : client_(kSubmission) {
    client_.users.identity.messages = Rate{10, std::chrono::hours(1)};
    client_.logs_in();
  }
  SessionHarness client_;
};

TEST_F(RefusedContent, ARefusedFirstChunkEndsTheTransaction) {
  for (const bool broken : {false, true}) {
    client_.sends(kFromApp);
    client_.quota.broken = broken;
    if (!broken) client_.quota.empty = "user/app/messages";
    EXPECT_EQ(codes_of(client_.sends(chunk_of("From: app@example.com\r\n\r\nThe beginning\r\n", false))),
              broken ? "451" : "450");
    client_.quota.empty.clear();
    client_.quota.broken = false;
    EXPECT_EQ(codes_of(client_.sends(chunk_of("From: app@example.com\r\n\r\nThe rest\r\n", true))), "503")
        << "the rest of a message is none, whatever it looks like";
    EXPECT_TRUE(client_.sink.messages.empty());
    EXPECT_EQ(codes_of(client_.sends(kFromApp + chunk_of("Whole\r\n", true))), "250 250 250");
    EXPECT_EQ(client_.sink.messages.size(), 1U);
    client_.sink.messages.clear();
  }
}

TEST_F(RefusedContent, AChunkWithoutARecipientEndsTheTransactionToo) {
  client_.sends("MAIL FROM:<app@example.com>\r\n");
  EXPECT_EQ(codes_of(client_.sends(chunk_of("The beginning\r\n", false) + "RCPT TO:<a@b.example>\r\n" +
                                   chunk_of("The rest\r\n", true))),
            "554 503 503");
  EXPECT_TRUE(client_.sink.messages.empty());
}

TEST_F(RefusedContent, NoMoreRecipientsAreTakenThanTheRateOfTheUserCanHold) {
  client_.users.identity.recipients = Rate{2, std::chrono::hours(1)};
  EXPECT_EQ(client_.codes("MAIL FROM:<app@example.com>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>"),
            "250 250 250");
  EXPECT_EQ(client_.says("RCPT TO:<e@f.example>"),
            "452 4.5.3 No more than 2 recipients per message; send to the others in another one\r\n");
  EXPECT_EQ(client_.codes("DATA\r\nx\r\n."), "354 250");
  EXPECT_EQ(client_.sink.messages.at(0).envelope.recipients.size(), 2U);
  EXPECT_NE(client_.says("EHLO x").find("LIMITS RCPTMAX=2\r\n"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
