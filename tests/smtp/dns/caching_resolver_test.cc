#include "smtp/dns/caching_resolver.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "smtp/base/notifier.h"
#include "smtp/base/task_group.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"

namespace holdfast {
namespace {

using std::chrono::seconds;

class Caching : public ::testing::Test {
 protected:
  Caching() { zone_.set_ttl(seconds(100)); }
  DnsAnswer ask(const std::string& name, RecordType type = RecordType::txt) {
    return run(context_, cache_.query(name, type));
  }
  std::size_t asked(const std::string& name, RecordType type = RecordType::txt) {
    return zone_.count(name, type);
  }

  asio::io_context context_;
  FakeClock clock_;
  ZoneResolver zone_;
  CachingResolver cache_{zone_, clock_, 4000};
};

TEST_F(Caching, KeepsAnAnswerForItsTtl) {
  zone_.txt("a.example", "one");
  zone_.sign("a.example");
  EXPECT_EQ(ask("a.example").ttl, seconds(100));
  clock_.advance(seconds(99));
  const auto kept = ask("a.example");
  EXPECT_EQ(kept.ttl, seconds(1));
  EXPECT_TRUE(kept.secure);
  EXPECT_EQ(asked("a.example"), 1U);
  clock_.advance(seconds(1));
  zone_.set_secure("a.example", RecordType::txt, false);
  EXPECT_FALSE(ask("a.example").secure);
  EXPECT_EQ(asked("a.example"), 2U);
}

TEST_F(Caching, KeepsAbsencesButNotForever) {
  zone_.set_ttl(std::chrono::hours(100));
  EXPECT_EQ(ask("nowhere.example").status, DnsStatus::nx_domain);
  clock_.advance(kLongestNegativeDnsCache - seconds(1));
  EXPECT_EQ(ask("nowhere.example").status, DnsStatus::nx_domain);
  EXPECT_EQ(asked("nowhere.example"), 1U);
  clock_.advance(seconds(1));
  ask("nowhere.example");
  EXPECT_EQ(asked("nowhere.example"), 2U);
}

TEST_F(Caching, NeverKeepsWhatIsUnknown) {
  for (const auto status : {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::cname_limit}) {
    zone_.fail("a.example", status);
    const auto before = asked("a.example");
    EXPECT_EQ(ask("a.example").status, status);
    EXPECT_EQ(ask("a.example").status, status);
    EXPECT_EQ(asked("a.example"), before + 2);
  }
}

TEST_F(Caching, KeepsTypesApart) {
  zone_.txt("a.example", "one");
  ask("a.example", RecordType::txt);
  EXPECT_EQ(ask("a.example", RecordType::mx).status, DnsStatus::no_data);
}

TEST_F(Caching, StaysWithinItsBoundAndDropsTheLeastRecentlyUsed) {
  for (int i = 0; i < 100; ++i) {
    const auto name = "n" + std::to_string(i) + ".example";
    zone_.txt(name, std::string(100, 'x'));
    ask(name);
    ask("n0.example");
    EXPECT_LE(cache_.octets(), 4000U);
  }
  EXPECT_EQ(asked("n0.example"), 1U);
  ask("n1.example");
  EXPECT_EQ(asked("n1.example"), 2U);
  zone_.txt("huge.example", std::string(5000, 'x'));
  EXPECT_EQ(std::get<std::string>(ask("huge.example").records.at(0)).size(), 5000U);
  EXPECT_LE(cache_.octets(), 4000U);
}

asio::awaitable<void> note_answer(CachingResolver& cache, std::string name, std::vector<DnsStatus>& answers) {
  const auto answer = co_await cache.query(name, RecordType::txt);
  answers.push_back(answer.status);
}

asio::awaitable<void> wait_for(Notifier& gate) { co_await gate.wait(); }

TEST_F(Caching, SendsAQuestionOnceForAllWhoAskItTogether) {
  zone_.txt("a.example", "one");
  Notifier gate;
  zone_.on_query([&](std::string, RecordType) { return wait_for(gate); });
  std::vector<DnsStatus> answers;
  TaskGroup group(context_.get_executor(), {});
  for (int i = 0; i < 5; ++i) group.spawn(note_answer(cache_, "a.example", answers));
  settle(context_);
  gate.notify();
  run(context_, group.drained());
  EXPECT_EQ(answers, std::vector<DnsStatus>(5, DnsStatus::ok));
  EXPECT_EQ(asked("a.example"), 1U);
}

TEST_F(Caching, LetsAnotherAskWhenTheFirstIsCancelled) {
  zone_.txt("a.example", "one");
  Notifier gate;
  zone_.on_query([&](std::string, RecordType) { return wait_for(gate); });
  std::vector<DnsStatus> stopped, answers;
  TaskGroup first(context_.get_executor(), {}), second(context_.get_executor(), {});
  first.spawn(note_answer(cache_, "a.example", stopped));
  settle(context_);
  second.spawn(note_answer(cache_, "a.example", answers));
  settle(context_);
  first.stop();
  run(context_, first.drained());
  settle(context_);
  EXPECT_TRUE(answers.empty());
  gate.notify();
  run(context_, second.drained());
  EXPECT_EQ(answers, std::vector<DnsStatus>{DnsStatus::ok});
  EXPECT_EQ(asked("a.example"), 2U);
}

}  // namespace
}  // namespace holdfast
