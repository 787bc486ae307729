#include "mta/admin_queue.h"

#include <gtest/gtest.h>

#include "mta/admin_json.h"
#include "smtp/base/base_error.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

class RecordingWork final : public ReadyWork {
 public:
  bool has_room() const override { return false; }
  void offer(std::vector<Claim>) override {}
  void look_again() override { ++looked; }
  int looked = 0;
};

class AdminQueueTest : public testing::Test {
 protected:
  QueueId accept(const std::string& from, const std::vector<std::string>& to) {
    Batch batch;
    Accept& accept = batch.accept.emplace_back();
    accept.meta.id = QueueId::make(clock_.wall(), *random_);
    accept.meta.reverse_path = Mailbox::parse(from).value();
    accept.meta.accepted = accept.meta.release = timeline_.now();
    accept.meta.expires = timeline_.now() + std::chrono::days(5);
    accept.body = store_.stage_body();
    EXPECT_TRUE(run(accept.body->write("Subject: x\r\n\r\nbody\r\n")));
    EXPECT_TRUE(run(accept.body->finish()));
    for (const auto& address : to) {
      NewRecipient recipient;
      recipient.address = Mailbox::parse(address).value();
      accept.recipients.push_back(recipient);
    }
    const QueueId id = accept.meta.id;
    EXPECT_TRUE(run(store_.apply(std::move(batch))));
    return id;
  }
  AdminResponse list(std::map<std::string, std::string> query) {
    AdminRequest request;
    request.query = std::move(query);
    return run(admin_.list(request));
  }
  AdminResponse change(const std::string& what, std::map<std::string, std::string> query) {
    AdminRequest request;
    request.query = std::move(query);
    return run(admin_.change(what, request));
  }

  FakeClock clock_;
  Timeline timeline_{clock_};
  std::unique_ptr<Random> random_ = make_system_random();
  MemoryStore store_{clock_};
  RecordingWork work_;
  CapturingLog log_;
  AdminQueue admin_{store_, work_, timeline_, log_};
};

TEST_F(AdminQueueTest, ListsOneLinePerRecipientWithTheFieldsOfTheContract) {
  const auto id = accept("app@example.com", {"a@one.test", "b@two.test"});
  const auto body = list({}).body;
  EXPECT_EQ(std::count(body.begin(), body.end(), '\n'), 2);
  EXPECT_NE(body.find("\"schema\":1,\"msg\":\"" + id.text() + "\",\"from\":\"app@example.com\""),
            std::string::npos)
      << body;
  EXPECT_NE(body.find("\"to\":\"a@one.test\",\"state\":\"queued\",\"attempts\":0"), std::string::npos)
      << body;
}

TEST_F(AdminQueueTest, FiltersByRecipient) {
  accept("app@example.com", {"a@one.test", "b@two.test"});
  const auto body = list({{"to", "two"}}).body;
  EXPECT_EQ(body.find("one.test"), std::string::npos);
  EXPECT_NE(body.find("b@two.test"), std::string::npos);
}

TEST_F(AdminQueueTest, RefusesAFilterThatItDoesNotKnowRatherThanTakingAll) {
  accept("app@example.com", {"a@one.test"});
  const auto response = change("remove", {{"too", "nobody"}});
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("unknown filter \\\"too\\\""), std::string::npos) << response.body;
  EXPECT_NE(list({}).body.find("queued"), std::string::npos);
}

TEST_F(AdminQueueTest, CountsWithoutChangingWhenAskedTo) {
  accept("app@example.com", {"a@one.test", "b@two.test"});
  EXPECT_EQ(change("remove", {{"dry", "1"}}).body, "{\"schema\":1,\"count\":2}\n");
  const auto body = list({}).body;
  EXPECT_EQ(std::count(body.begin(), body.end(), '\n'), 2);
  EXPECT_EQ(work_.looked, 0);
}

TEST_F(AdminQueueTest, HoldsAndReleases) {
  accept("app@example.com", {"a@one.test"});
  EXPECT_EQ(change("hold", {}).status, 200);
  EXPECT_NE(list({{"state", "held"}}).body.find("a@one.test"), std::string::npos);
  EXPECT_EQ(list({{"state", "queued"}}).body, "");
  EXPECT_EQ(change("release", {}).status, 200);
  EXPECT_NE(list({{"state", "queued"}}).body.find("a@one.test"), std::string::npos);
  EXPECT_EQ(work_.looked, 2);
}

TEST_F(AdminQueueTest, SaysThatAMessageIsUnknown) {
  EXPECT_EQ(run(admin_.message(QueueId::make(clock_.wall(), *random_).text())).status, 404);
  EXPECT_EQ(run(admin_.message("not an id")).status, 400);
}

TEST(AdminTarget, DecodesPathAndQuery) {
  AdminRequest request;
  ASSERT_TRUE(parse_target("/v1/queue?to=a%40b.test&error=no+such&empty&=x", request));
  EXPECT_EQ(request.path, "/v1/queue");
  EXPECT_EQ(request.query["to"], "a@b.test");
  EXPECT_EQ(request.query["error"], "no such");
  EXPECT_EQ(request.query["empty"], "");
  AdminRequest broken;
  EXPECT_FALSE(parse_target("/v1/queue?to=%4", broken));
  EXPECT_FALSE(parse_target("/%zz", broken));
}

TEST(AdminAge, ReadsWhatTheManualSays) {
  EXPECT_EQ(parse_age("90m"), std::chrono::minutes(90));
  EXPECT_EQ(parse_age("3d"), std::chrono::days(3));
  EXPECT_EQ(parse_age(""), std::nullopt);
  EXPECT_EQ(parse_age("3"), std::nullopt);
  EXPECT_EQ(parse_age("d"), std::nullopt);
  EXPECT_EQ(parse_age("-1h"), std::nullopt);
}

}  // namespace
}  // namespace holdfast
