#include "mta/admin_queue.h"

#include <gtest/gtest.h>

#include "mta/admin_json.h"
#include "smtp/base/base_error.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/recording_work.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

Settings relay_settings() {
  Settings s;
  s.hostname = "relay.test";
  s.postmaster = "postmaster@relay.test";
  s.queue.bounce_expire = std::chrono::hours(24);
  return s;
}

asio::awaitable<std::string> read_all(std::shared_ptr<BodySource> source) {
  std::string all;
  while (true) {
    const auto chunk = co_await source->next();
    if (!chunk) co_return "broken: " + chunk.error().text();
    if (chunk->empty()) co_return all;
    all += *chunk;
  }
}

class AdminQueueTest : public testing::Test {
 protected:
  QueueId accept(const std::string& from, const std::vector<std::string>& to, const std::string& user = "") {
    Batch batch;
    Accept& accept = batch.accept.emplace_back();
    accept.meta.id = QueueId::make(clock_.wall(), *random_);
    accept.meta.reverse_path = Mailbox::parse(from).value();
    accept.meta.user = user;
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
    return whole(run(admin_.list(request)));
  }
  AdminResponse history(std::map<std::string, std::string> query) {
    AdminRequest request;
    request.query = std::move(query);
    return whole(run(admin_.history(request)));
  }
  AdminResponse summary(std::map<std::string, std::string> query) {
    AdminRequest request;
    request.query = std::move(query);
    return run(admin_.summary(request));
  }
  // With the body that would have been streamed.
  static AdminResponse whole(AdminResponse response) {
    if (response.stream) response.body = run(read_all(response.stream));
    return response;
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
  FixedSettings settings_{relay_settings()};
  OperatorHand hand_{OperatorHand::Parts{store_, work_, settings_, timeline_, *random_, log_}};
  AdminQueue admin_{store_, hand_, timeline_, log_};
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

TEST_F(AdminQueueTest, TakesAllOfAUserByItsWholeName) {
  accept("app@example.com", {"a@one.test"}, "app");
  accept("app@example.com", {"b@two.test"}, "app2");
  EXPECT_NE(change("hold", {{"user", "app"}}).body.find("\"count\":1"), std::string::npos);
  const auto held = list({{"state", "held"}}).body;
  EXPECT_NE(held.find("a@one.test"), std::string::npos);
  EXPECT_EQ(held.find("b@two.test"), std::string::npos);
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

TEST_F(AdminQueueTest, AFilterWithoutAValueIsNoFilterAndChangesNothing) {
  accept("app@example.com", {"a@one.test"}, "app");
  for (const char* filter :
       {"msg", "to", "from", "user", "domain", "error", "state", "older", "newer", "limit"}) {
    EXPECT_EQ(change("remove", {{filter, ""}}).status, 400) << filter;
    EXPECT_EQ(change("remove", {{filter, ""}, {"from", "app@example.com"}}).status, 400) << filter;
    EXPECT_EQ(list({{filter, ""}}).status, 400) << filter;
  }
  EXPECT_NE(list({}).body.find("\"state\":\"queued\""), std::string::npos);
}

TEST_F(AdminQueueTest, ChangesEverythingOnlyWhenThatIsSaid) {
  accept("app@example.com", {"a@one.test"});
  for (const char* what : {"retry", "hold", "release", "bounce", "remove"}) {
    EXPECT_EQ(change(what, {}).status, 400) << what;
    EXPECT_EQ(change(what, {{"dry", "1"}}).status, 400) << what << ": counted is what would be changed";
    EXPECT_EQ(change(what, {{"all", ""}}).status, 400) << what;
  }
  EXPECT_NE(list({}).body.find("\"state\":\"queued\""), std::string::npos);
  EXPECT_EQ(change("remove", {{"all", "1"}, {"to", "nobody"}}).body, "{\"schema\":1,\"count\":0}\n")
      << "a filter narrows even that";
  EXPECT_EQ(change("remove", {{"all", "1"}}).body, "{\"schema\":1,\"count\":1}\n");
}

TEST_F(AdminQueueTest, ADryRunThatItDoesNotUnderstandChangesNothing) {
  accept("app@example.com", {"a@one.test"});
  for (const char* dry : {"", "true", "yes", "0"})
    EXPECT_EQ(change("remove", {{"to", "one.test"}, {"dry", dry}}).status, 400) << dry;
  EXPECT_NE(list({}).body.find("\"state\":\"queued\""), std::string::npos);
}

TEST_F(AdminQueueTest, CountsWithoutChangingWhenAskedTo) {
  accept("app@example.com", {"a@one.test", "b@two.test"});
  EXPECT_EQ(change("remove", {{"all", "1"}, {"dry", "1"}}).body, "{\"schema\":1,\"count\":2}\n");
  const auto body = list({}).body;
  EXPECT_EQ(std::count(body.begin(), body.end(), '\n'), 2);
  EXPECT_EQ(work_.looks, 0);
}

TEST_F(AdminQueueTest, HoldsAndReleases) {
  accept("app@example.com", {"a@one.test"});
  EXPECT_EQ(change("hold", {{"all", "1"}}).status, 200);
  EXPECT_NE(list({{"state", "held"}}).body.find("a@one.test"), std::string::npos);
  EXPECT_EQ(list({{"state", "queued"}}).body, "");
  EXPECT_EQ(change("release", {{"all", "1"}}).status, 200);
  EXPECT_NE(list({{"state", "queued"}}).body.find("a@one.test"), std::string::npos);
  EXPECT_EQ(work_.looks, 2);
}

TEST_F(AdminQueueTest, SaysThatAMessageIsUnknown) {
  EXPECT_EQ(run(admin_.message(QueueId::make(clock_.wall(), *random_).text())).status, 404);
  EXPECT_EQ(run(admin_.message("not an id")).status, 400);
}

TEST_F(AdminQueueTest, BouncesAfterACountAndTellsTheSender) {
  accept("app@example.com", {"a@one.test", "b@two.test"});
  ASSERT_EQ(
      run(store_.claim({"two.test"}, 10, timeline_.now(), "test", std::chrono::minutes(5))).value().size(),
      1u);
  EXPECT_EQ(change("bounce", {{"all", "1"}, {"dry", "1"}}).body, "{\"schema\":1,\"count\":1,\"active\":1}\n");
  EXPECT_EQ(change("bounce", {{"all", "1"}, {"reason", "closed for good"}}).body,
            "{\"schema\":1,\"count\":1,\"active\":1}\n");
  EXPECT_NE(list({}).body.find("\"to\":\"app@example.com\",\"state\":\"queued\""), std::string::npos);
  EXPECT_NE(history({{"state", "bounced"}}).body.find("closed for good"), std::string::npos);
  EXPECT_EQ(change("hold", {{"all", "1"}, {"reason", "x"}}).status, 400) << "only a bounce has a reason";
}

TEST_F(AdminQueueTest, ALimitIsOfWhatIsChanged) {
  accept("app@example.com", {"a@one.test", "b@two.test", "c@three.test"});
  EXPECT_EQ(change("hold", {{"limit", "2"}}).body, "{\"schema\":1,\"count\":2}\n");
  EXPECT_EQ(change("hold", {{"limit", "2"}}).body, "{\"schema\":1,\"count\":1}\n");
  EXPECT_EQ(list({{"limit", "0"}}).status, 400);
}

TEST_F(AdminQueueTest, HistoryTellsOfWhatHasEndedTheNewestFirst) {
  accept("app@example.com", {"a@one.test"});
  change("remove", {{"all", "1"}});
  accept("app@example.com", {"b@two.test"});
  const auto body = history({}).body;
  EXPECT_LT(body.find("b@two.test"), body.find("a@one.test"));
  EXPECT_NE(body.find("\"state\":\"removed\""), std::string::npos) << body;
  EXPECT_EQ(history({{"domain", "ONE.test"}}).body.find("b@two.test"), std::string::npos);
  EXPECT_EQ(history({{"newer", "x"}}).status, 400);
}

TEST_F(AdminQueueTest, SumsUp) {
  accept("app@example.com", {"a@one.test", "b@one.test"});
  const auto body = summary({}).body;
  EXPECT_NE(body.find("\"by\":\"domain\",\"key\":\"one.test\",\"recipients\":2,\"messages\":1"),
            std::string::npos)
      << body;
  EXPECT_NE(summary({{"by", "state"}, {"to", "a@"}}).body.find("\"key\":\"queued\",\"recipients\":1"),
            std::string::npos);
  EXPECT_EQ(summary({{"by", "colour"}}).status, 400);
}

TEST_F(AdminQueueTest, AMessageShowsItsEnvelope) {
  const auto id = accept("app@example.com", {"a@one.test"}, "app");
  change("remove", {{"all", "1"}});
  const auto body = run(admin_.message(id.text())).body;
  for (const char* part : {"\"user\":\"app\"", "\"state\":\"removed\"", "\"notify\":\"\"", "\"ret\":\"\"",
                           "\"body\":\"7BIT\"", "\"by\":\"operator\""})
    EXPECT_NE(body.find(part), std::string::npos) << part << " in " << body;
}

TEST_F(AdminQueueTest, ContentIsForTheTrustedAlone) {
  const auto id = accept("app@example.com", {"a@one.test"});
  EXPECT_EQ(run(admin_.content(id.text(), false)).status, 403);
  const auto response = whole(run(admin_.content(id.text(), true)));
  EXPECT_EQ(response.body, "Subject: x\r\n\r\nbody\r\n");
  EXPECT_EQ(response.stream_size, response.body.size());
  EXPECT_EQ(run(admin_.content(QueueId::make(clock_.wall(), *random_).text(), true)).status, 404);
  EXPECT_TRUE(log_.holds("read content"));
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
  // Which of the two counts, each program answers otherwise.
  EXPECT_FALSE(parse_target("/v1/queue?to=a&to=b", broken));
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
