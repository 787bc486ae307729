// What every engine of the store keeps: bodies to the octet, as long as anybody holds them.
#include <gmock/gmock.h>

#include "tests/queue/store_conformance.h"

namespace holdfast {
namespace {

using testing::IsEmpty;

TEST_P(StoreConformance, ASharedBodyLastsAsLongAsItsLongestHolder) {
  const std::string text = "Subject: x\r\n\r\n" + std::string(1000, 'y') + "\r\n";
  const auto id = t_.accept(t_.message({"a@one.example"}, text)).value().id;
  std::vector<QueueId> sharers;
  for (int i = 0; i < 2; ++i) {
    Accept sharer = t_.message({"s" + std::to_string(i) + "@source.example"});
    sharer.body.reset();
    sharer.body_of = i == 0 ? id : sharers[0];
    sharer.prefix = "P\r\n";
    sharers.push_back(sharer.meta.id);
    ASSERT_TRUE(t_.accept(std::move(sharer)));
  }
  auto claims = t_.claim({"source.example"}, 1);
  ASSERT_TRUE(t_.complete(claims.at(0)));
  EXPECT_TRUE(t_.content(id));
  EXPECT_EQ(t_.content(sharers[1]).value(), "P\r\n" + text);
  ASSERT_TRUE(t_.complete(t_.claim({"one.example"}).at(0)));
  EXPECT_EQ(t_.content(sharers[1]).value(), "P\r\n" + text);
  claims = t_.claim({"source.example"}, 1);
  ASSERT_TRUE(t_.complete(claims.at(0)));
  EXPECT_FALSE(t_.content(sharers[1]));
}

TEST_P(StoreConformance, ABodyOfAMessageThatIsGoneIsNotFound) {
  Accept orphan = t_.message({"a@one.example"});
  orphan.body.reset();
  orphan.body_of = QueueId{};
  const auto result = t_.accept(std::move(orphan));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(StoreError::not_found));
  EXPECT_THAT(t_.list(), IsEmpty());
}

TEST_P(StoreConformance, AMessageMayBeAllPrefix) {
  Accept bare = t_.message({"a@one.example"});
  bare.body.reset();
  bare.prefix = "Subject: headers only\r\n\r\ntext\r\n";
  const auto id = t_.accept(std::move(bare)).value().id;
  EXPECT_EQ(t_.content(id).value(), "Subject: headers only\r\n\r\ntext\r\n");
}

TEST_P(StoreConformance, ReadsTheHeaderSectionWithItsPrefix) {
  const auto id =
      t_.accept(t_.message({"a@one.example"}, "Subject: x\r\nTo: y\r\n\r\nHello\r\n\r\nmore\r\n")).value().id;
  EXPECT_EQ(run_to_end(store().read_header(id)).value(), "Received: from client\r\nSubject: x\r\nTo: y\r\n");
  EXPECT_TRUE(run_to_end(store().read_header(QueueId{})).error().is(StoreError::not_found));
}

TEST_P(StoreConformance, KeepsABodyOfAnySizeToTheOctet) {
  auto random = make_system_random();
  for (const std::size_t size : {0u, 1u, 4095u, 65'536u, 262'144u, 262'145u, 1'000'003u, 3'000'000u}) {
    std::string body(size, '\0');
    for (char& c : body) c = static_cast<char>(random->next());
    const auto id = t_.accept(t_.message({"a@one.example"}, body)).value().id;
    const auto content = t_.content(id);
    ASSERT_TRUE(content) << size << " " << content.error().text();
    EXPECT_TRUE(content.value() == "Received: from client\r\n" + body) << size;
  }
}

TEST_P(StoreConformance, KeepsALargeBodyWrittenInSmallPieces) {
  Accept accept = t_.message({"a@one.example"});
  accept.body = store().stage_body();
  std::string all;
  for (int i = 0; i < 700; ++i) {
    const std::string piece(1000, static_cast<char>('a' + i % 26));
    all += piece;
    ASSERT_TRUE(run_to_end(accept.body->write(piece)));
  }
  ASSERT_TRUE(run_to_end(accept.body->finish()));
  EXPECT_EQ(accept.body->size(), all.size());
  const auto id = t_.accept(std::move(accept)).value().id;
  EXPECT_TRUE(t_.content(id).value() == "Received: from client\r\n" + all);
}

}  // namespace
}  // namespace holdfast
