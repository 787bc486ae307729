// What every engine of the store keeps: who gets what is due, and for how long.
#include <gmock/gmock.h>

#include <set>

#include "tests/queue/store_conformance.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_P(StoreConformance, GroupsAClaimByMessageAndDomain) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example", "c@one.example"})));
  ASSERT_TRUE(t_.accept(t_.message({"d@one.example"})));
  const auto claims = t_.claim({"one.example", "two.example"});
  ASSERT_THAT(claims, SizeIs(3));
  std::multiset<std::pair<std::string, std::size_t>> groups;
  std::set<std::uint64_t> tokens;
  for (const auto& claim : claims) {
    groups.emplace(claim.domain, claim.recipients.size());
    tokens.insert(claim.token.value);
  }
  EXPECT_EQ(groups, (std::multiset<std::pair<std::string, std::size_t>>{
                        {"one.example", 1}, {"one.example", 2}, {"two.example", 1}}));
  EXPECT_THAT(tokens, SizeIs(3));
}

TEST_P(StoreConformance, ClaimsOnlyTheDomainsAskedFor) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example"})));
  EXPECT_THAT(t_.claim({"three.example"}), IsEmpty());
  EXPECT_THAT(t_.claim({"two.example"}), SizeIs(1));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, ClaimsNoMoreThanAskedForAndTheOldestFirst) {
  std::vector<QueueId> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(
        t_.accept(t_.message({"a@" + std::string(i % 2 == 0 ? "one" : "two") + ".example"})).value().id);
    engine_->clock().advance(1s);
  }
  std::vector<QueueId> got;
  for (const auto& claim : t_.claim({"two.example", "one.example"}, 3)) got.push_back(claim.meta->id);
  EXPECT_THAT(got, ElementsAre(ids[0], ids[1], ids[2]));
  got.clear();
  for (const auto& claim : t_.claim({"two.example", "one.example"}, 3)) got.push_back(claim.meta->id);
  EXPECT_THAT(got, ElementsAre(ids[3], ids[4]));
}

TEST_P(StoreConformance, GivesARecipientToOneClaimOnly) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_THAT(t_.due(), IsEmpty());
}

TEST_P(StoreConformance, HandsFreshMailOutAtOnceWhenAsked) {
  Accept sent = t_.message({"a@one.example", "b@two.example", "c@one.example"});
  sent.claim = true;
  const auto accepted = t_.accept(std::move(sent));
  ASSERT_TRUE(accepted);
  ASSERT_THAT(accepted->claims, SizeIs(2));
  EXPECT_THAT(t_.due(), IsEmpty());
  EXPECT_THAT(t_.claim({"one.example", "two.example"}), IsEmpty());
  for (const auto& claim : accepted->claims) {
    EXPECT_EQ(claim.meta->id, accepted->id);
    const auto done = t_.complete(claim);
    ASSERT_TRUE(done);
    EXPECT_THAT(done->stale, IsEmpty());
  }
  EXPECT_THAT(t_.list(), IsEmpty());
}

TEST_P(StoreConformance, AMessageForLaterIsNotDueBeforeItsRelease) {
  Accept sent = t_.message({"a@one.example"});
  sent.meta.release = t_.now() + 1h;
  sent.claim = true;
  const auto accepted = t_.accept(std::move(sent));
  EXPECT_THAT(accepted->claims, IsEmpty());
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  const auto due = run_to_end(store().due(t_.now(), 10)).value();
  EXPECT_THAT(due.domains, IsEmpty());
  EXPECT_EQ(due.next, t_.now() + 1h);
  engine_->clock().advance(1h);
  EXPECT_THAT(t_.due(), SizeIs(1));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, NamesTheDomainsThatAreDue) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@one.example", "c@two.example"})));
  ASSERT_TRUE(t_.accept(t_.message({"d@one.example"})));
  const auto due = t_.due();
  ASSERT_THAT(due, SizeIs(2));
  EXPECT_EQ(due[0].domain, "one.example");
  EXPECT_EQ(due[0].due, 3u);
  EXPECT_EQ(due[1].domain, "two.example");
  EXPECT_EQ(due[1].due, 1u);
}

TEST_P(StoreConformance, EveryDueDomainHasItsTurn) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(t_.accept(t_.message({"a@d" + std::to_string(i) + ".example"})));
  std::set<std::string> seen;
  for (int i = 0; i < 4; ++i) {
    const auto due = run_to_end(store().due(t_.now(), 3)).value();
    EXPECT_LE(due.domains.size(), 3u);
    for (const auto& domain : due.domains) seen.insert(domain.domain);
  }
  EXPECT_THAT(seen, SizeIs(10));
}

TEST_P(StoreConformance, AClaimComesFreeWhenItsLeaseRunsOut) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim first = t_.claim({"one.example"}, 10, 1min).at(0);
  engine_->clock().advance(61s);
  EXPECT_THAT(t_.due(), SizeIs(1));
  const auto second = t_.claim({"one.example"});
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_NE(second[0].token.value, first.token.value);
  EXPECT_THAT(t_.complete(first)->stale, ElementsAre(first.recipients[0].id));
  EXPECT_THAT(t_.list(), SizeIs(1));
  EXPECT_THAT(t_.complete(second[0])->stale, IsEmpty());
}

TEST_P(StoreConformance, ALateCompletionCountsWhileNobodyTookOver) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}, 10, 1min).at(0);
  engine_->clock().advance(61s);
  EXPECT_THAT(t_.complete(claim)->stale, IsEmpty());
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
}

TEST_P(StoreConformance, ARenewedLeaseHolds) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}, 10, 1min).at(0);
  engine_->clock().advance(50s);
  EXPECT_TRUE(run_to_end(store().renew(claim.token, 1min)).value());
  engine_->clock().advance(50s);
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  ASSERT_TRUE(t_.complete(claim));
  EXPECT_FALSE(run_to_end(store().renew(claim.token, 1min)).value());
  EXPECT_FALSE(run_to_end(store().renew(ClaimToken{}, 1min)).value());
}

}  // namespace
}  // namespace holdfast
