#include "smtp/dns/cares_resolver.h"

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "smtp/base/stream.h"
#include "smtp/base/task_group.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/run.h"
#include "tests/smtp/dns/message_builder.h"

namespace holdfast {
namespace {

using asio::ip::tcp;
using asio::ip::udp;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

struct Asked {
  std::uint16_t id = 0;
  std::string name;
  RecordType type{};
  bool ad = false;
  bool over_tcp = false;
};
// Empty: no answer.
using Answerer = std::function<Octets(const Asked&)>;

Asked read_query(const Octets& query, bool over_tcp) {
  Asked asked;
  asked.over_tcp = over_tcp;
  asked.id = static_cast<std::uint16_t>(query.at(0) << 8 | query.at(1));
  asked.ad = (query.at(3) & 0x20) != 0;
  std::size_t at = 12;
  while (query.at(at) != 0) {
    if (!asked.name.empty()) asked.name += '.';
    asked.name.append(query.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                      query.begin() + static_cast<std::ptrdiff_t>(at) + 1 + query.at(at));
    at += query.at(at) + 1U;
  }
  asked.type = static_cast<RecordType>(query.at(at + 1) << 8 | query.at(at + 2));
  return asked;
}

// A DNS server on loopback, UDP and TCP on one port.
class LoopbackDns {
 public:
  LoopbackDns(asio::io_context& context, Answerer answer)
      : answer_(std::move(answer)), udp_(context), tcp_(context), group_(context.get_executor(), {}) {
    const auto loopback = asio::ip::make_address("127.0.0.1");
    tcp_.open(tcp::v4());
    tcp_.bind(tcp::endpoint(loopback, 0));
    tcp_.listen();
    udp_.open(udp::v4());
    udp_.bind(udp::endpoint(loopback, tcp_.local_endpoint().port()));
    group_.spawn(serve_udp());
    group_.spawn(serve_tcp());
  }

  Peer peer() const {
    Peer peer;
    peer.ip = *parse_ip("127.0.0.1");
    peer.port = tcp_.local_endpoint().port();
    return peer;
  }
  const std::vector<Asked>& asked() const { return asked_; }
  asio::awaitable<void> stop() {
    group_.stop();
    return group_.drained();
  }

 private:
  Octets answer_to(const Octets& query, bool over_tcp) {
    asked_.push_back(read_query(query, over_tcp));
    return answer_(asked_.back());
  }

  asio::awaitable<void> serve_udp() {
    for (;;) {
      Octets query(2000);
      udp::endpoint from;
      const auto [error, size] = co_await udp_.async_receive_from(asio::buffer(query), from, kAsTuple);
      if (error) co_return;
      query.resize(size);
      const auto reply = answer_to(query, false);
      if (!reply.empty()) co_await udp_.async_send_to(asio::buffer(reply), from, kAsTuple);
    }
  }

  asio::awaitable<void> serve_tcp() {
    for (;;) {
      tcp::socket client(tcp_.get_executor());
      const auto [error] = co_await tcp_.async_accept(client, kAsTuple);
      if (error) co_return;
      Octets length(2);
      const auto [failed, size] = co_await asio::async_read(client, asio::buffer(length), kAsTuple);
      if (failed) continue;
      Octets query(static_cast<std::size_t>(length[0] << 8 | length[1]));
      const auto [broken, count] = co_await asio::async_read(client, asio::buffer(query), kAsTuple);
      if (broken) continue;
      const auto reply = answer_to(query, true);
      const auto framed = u16(static_cast<unsigned>(reply.size())) + reply;
      co_await asio::async_write(client, asio::buffer(framed), kAsTuple);
    }
  }

  Answerer answer_;
  std::vector<Asked> asked_;
  udp::socket udp_;
  tcp::acceptor tcp_;
  TaskGroup group_;
};

Octets address_reply(const Asked& asked, const std::string& ip, unsigned flags = 0) {
  MessageBuilder message(asked.id, asked.name, asked.type, flags);
  message.answer(asked.name, RecordType::a, 300, a_data(ip));
  return message.build();
}

Octets alias_reply(const Asked& asked, const std::string& target, unsigned flags = 0) {
  MessageBuilder message(asked.id, asked.name, asked.type, flags);
  message.answer(asked.name, RecordType::cname, 300, wire_name(target));
  return message.build();
}

Octets failure_reply(const Asked& asked, unsigned rcode) {
  return MessageBuilder(asked.id, asked.name, asked.type, 0, rcode).build();
}

class Cares : public ::testing::Test {
 protected:
  ~Cares() override {
    resolver_.reset();
    for (auto& server : servers_) run(context_, server->stop());
  }

  void serve(Answerer answer) {
    servers_.push_back(std::make_unique<LoopbackDns>(context_, std::move(answer)));
  }
  void start(bool believe_ad = true, Millis timeout = Millis(5000)) {
    DnsServers servers;
    for (const auto& server : servers_) servers.servers.push_back(server->peer());
    servers.believe_ad = believe_ad;
    auto made = CaresResolver::create(context_.get_executor(), *clock_, *random_, metrics_, servers, timeout);
    ASSERT_TRUE(made) << made.error().text();
    resolver_ = std::move(*made);
  }
  DnsAnswer ask(const std::string& name, RecordType type = RecordType::a) {
    return run(context_, resolver_->query(name, type));
  }

  asio::io_context context_;
  std::unique_ptr<Clock> clock_ = make_system_clock();
  std::unique_ptr<Random> random_ = make_system_random();
  CapturingMetrics metrics_;
  std::vector<std::unique_ptr<LoopbackDns>> servers_;
  std::unique_ptr<CaresResolver> resolver_;
};

std::string first_ip(const DnsAnswer& answer) {
  return answer.records.empty() ? describe(answer.status) : ip_text(std::get<IpBytes>(answer.records[0]));
}

TEST_F(Cares, AsksWithTheAdBitAndBelievesIt) {
  serve([](const Asked& asked) {
    return address_reply(asked, "192.0.2.1", asked.name == "signed.example" ? kFlagAd : 0);
  });
  start();
  const auto answer = ask("signed.example");
  EXPECT_EQ(first_ip(answer), "192.0.2.1");
  EXPECT_TRUE(answer.secure);
  EXPECT_FALSE(answer.alias_secure);  // there is no alias
  EXPECT_FALSE(ask("plain.example").secure);
  EXPECT_TRUE(servers_[0]->asked().at(0).ad);
  EXPECT_EQ(metrics_.observed("dns_lookup_duration_seconds{type=A}").size(), 2U);
}

TEST_F(Cares, DoesNotBelieveTheAdBitOfAServerThatIsNotTrusted) {
  serve([](const Asked& asked) { return address_reply(asked, "192.0.2.1", kFlagAd); });
  start(false);
  EXPECT_FALSE(ask("signed.example").secure);
}

TEST_F(Cares, AsksByTcpWhenTheAnswerIsTruncated) {
  const std::string record(3000, 'x');
  serve([&](const Asked& asked) {
    if (!asked.over_tcp) return MessageBuilder(asked.id, asked.name, asked.type, kFlagTc).build();
    Octets data;
    for (std::size_t at = 0; at < record.size(); at += 250)
      data = data + Octets{250} + text(record.substr(at, 250));
    MessageBuilder message(asked.id, asked.name, asked.type, kFlagAd);
    message.answer(asked.name, RecordType::txt, 300, data);
    return message.build();
  });
  start();
  const auto answer = ask("big.example", RecordType::txt);
  ASSERT_EQ(answer.status, DnsStatus::ok);
  EXPECT_EQ(std::get<std::string>(answer.records.at(0)), record);
  EXPECT_TRUE(answer.secure);
  EXPECT_EQ(servers_[0]->asked().size(), 2U);
}

TEST_F(Cares, KeepsAbsencesApart) {
  serve([](const Asked& asked) {
    MessageBuilder message(asked.id, asked.name, asked.type, kFlagAd,
                           asked.name == "nowhere.example" ? 3 : 0);
    return message.soa("example", 60, 60).build();
  });
  start();
  EXPECT_EQ(ask("nowhere.example").status, DnsStatus::nx_domain);
  const auto absent = ask("a.example");
  EXPECT_EQ(absent.status, DnsStatus::no_data);
  EXPECT_TRUE(absent.secure);
  EXPECT_EQ(absent.ttl, std::chrono::seconds(60));
}

TEST_F(Cares, TurnsToTheNextServerAfterAFailure) {
  for (const unsigned rcode : {2U, 5U}) {
    serve([rcode](const Asked& asked) { return failure_reply(asked, rcode); });
  }
  serve([](const Asked& asked) { return address_reply(asked, "192.0.2.3"); });
  start();
  EXPECT_EQ(first_ip(ask("a.example")), "192.0.2.3");
  EXPECT_EQ(servers_[0]->asked().size(), 1U);
}

TEST_F(Cares, FailsWhenAllServersFail) {
  serve([](const Asked& asked) { return failure_reply(asked, 2); });
  start();
  const auto answer = ask("bogus.example");
  EXPECT_EQ(answer.status, DnsStatus::server_failure);
  EXPECT_FALSE(answer.secure);
}

TEST_F(Cares, TurnsToTheNextServerAfterSilence) {
  serve([](const Asked&) { return Octets(); });
  serve([](const Asked& asked) { return address_reply(asked, "192.0.2.2"); });
  start(true, Millis(600));
  EXPECT_EQ(first_ip(ask("a.example")), "192.0.2.2");
}

TEST_F(Cares, TimesOutWithinItsLimit) {
  serve([](const Asked&) { return Octets(); });
  start(true, Millis(300));
  const auto begin = clock_->now();
  EXPECT_EQ(ask("a.example").status, DnsStatus::timed_out);
  const auto took = clock_->now() - begin;
  EXPECT_GE(took, Millis(290));
  EXPECT_LT(took, std::chrono::seconds(3));
}

TEST_F(Cares, FailsOnAnAnswerThatCannotBeRead) {
  serve([](const Asked& asked) {
    MessageBuilder message(asked.id, asked.name, asked.type);
    message.answer(asked.name, RecordType::a, 300, Octets{1, 2, 3});
    return message.build();
  });
  start();
  EXPECT_EQ(ask("a.example").status, DnsStatus::server_failure);
}

TEST_F(Cares, FollowsAliasesFromAnswerToAnswer) {
  serve([](const Asked& asked) {
    if (asked.name == "a.example") return alias_reply(asked, "b.example", kFlagAd);
    if (asked.name == "b.example") return alias_reply(asked, "c.example", kFlagAd);
    return address_reply(asked, "192.0.2.1", kFlagAd);
  });
  start();
  const auto answer = ask("a.example");
  EXPECT_EQ(first_ip(answer), "192.0.2.1");
  EXPECT_EQ(answer.name, "c.example");
  EXPECT_TRUE(answer.secure);
  EXPECT_TRUE(answer.alias_secure);
}

TEST_F(Cares, KnowsASecureAliasIntoAnUnsignedZone) {
  serve([](const Asked& asked) {
    if (asked.name == "a.signed") return alias_reply(asked, "b.plain", kFlagAd);
    return address_reply(asked, "192.0.2.1");
  });
  start();
  const auto answer = ask("a.signed");
  EXPECT_EQ(answer.status, DnsStatus::ok);
  EXPECT_FALSE(answer.secure);
  EXPECT_TRUE(answer.alias_secure);
}

TEST_F(Cares, GivesUpOnAliasesThatLoop) {
  serve([](const Asked& asked) {
    return alias_reply(asked, asked.name == "a.example" ? "b.example" : "a.example", kFlagAd);
  });
  start();
  const auto answer = ask("a.example");
  EXPECT_EQ(answer.status, DnsStatus::cname_limit);
  EXPECT_FALSE(answer.secure);
  EXPECT_EQ(servers_[0]->asked().size(), static_cast<std::size_t>(kMaxCnameHops) + 1);
}

TEST_F(Cares, AsksInLowerCaseHoweverANameIsWritten) {
  serve([](const Asked& asked) { return address_reply(asked, "192.0.2.1"); });
  start();
  const auto answer = ask("S1._domainKey.Example.");
  EXPECT_EQ(first_ip(answer), "192.0.2.1");
  EXPECT_EQ(answer.name, "s1._domainkey.example");
}

TEST_F(Cares, RefusesNamesThatNoQueryCanHold) {
  serve([](const Asked& asked) { return address_reply(asked, "192.0.2.1"); });
  start();
  EXPECT_EQ(ask(std::string(300, 'a')).status, DnsStatus::server_failure);
  EXPECT_EQ(ask("a..b").status, DnsStatus::server_failure);
}

asio::awaitable<void> note_answer(CaresResolver& resolver, std::string name,
                                  std::vector<std::string>& answers) {
  const auto answer = co_await resolver.query(name, RecordType::a);
  answers.push_back(first_ip(answer));
}

TEST_F(Cares, AnswersManyAtOnceEachItsOwn) {
  serve([](const Asked& asked) {
    return address_reply(asked, "192.0.2." + asked.name.substr(1, asked.name.find('.') - 1));
  });
  start();
  std::vector<std::string> answers[200];
  TaskGroup group(context_.get_executor(), {});
  for (int i = 0; i < 200; ++i)
    group.spawn(note_answer(*resolver_, "n" + std::to_string(i) + ".example", answers[i]));
  run(context_, group.drained());
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(answers[i], std::vector<std::string>{"192.0.2." + std::to_string(i)});
}

TEST_F(Cares, EndsPendingQueriesWhenItIsDestroyed) {
  serve([](const Asked&) { return Octets(); });
  start();
  std::vector<std::string> answers;
  TaskGroup group(context_.get_executor(), {});
  for (int i = 0; i < 3; ++i) group.spawn(note_answer(*resolver_, "a.example", answers));
  settle(context_);
  resolver_.reset();
  run(context_, group.drained());
  EXPECT_EQ(answers, std::vector<std::string>(3, describe(DnsStatus::server_failure)));
}

TEST_F(Cares, ReturnsAtOnceWhenCancelledAndGoesOn) {
  bool silent = true;
  serve([&](const Asked& asked) { return silent ? Octets() : address_reply(asked, "192.0.2.1"); });
  start();
  std::vector<std::string> answers;
  std::string error;
  TaskGroup group(context_.get_executor(), [&](std::string what) { error = std::move(what); });
  group.spawn(note_answer(*resolver_, "a.example", answers));
  settle(context_);
  group.stop();
  run(context_, group.drained());
  EXPECT_EQ(answers, std::vector<std::string>{describe(DnsStatus::server_failure)});
  EXPECT_EQ(error, "");
  silent = false;
  EXPECT_EQ(first_ip(ask("b.example")), "192.0.2.1");
}

TEST_F(Cares, TellsWhetherItsServerValidates) {
  unsigned flags = 0;
  serve([&](const Asked& asked) {
    MessageBuilder message(asked.id, "", RecordType::soa, flags);
    EXPECT_EQ(asked.name, "");
    return message.answer("", RecordType::soa, 60, wire_name("a") + wire_name("b") + Octets(20, 0)).build();
  });
  start();
  EXPECT_FALSE(run(context_, validates_dnssec(*resolver_)));
  flags = kFlagAd;
  EXPECT_TRUE(run(context_, validates_dnssec(*resolver_)));
}

}  // namespace
}  // namespace holdfast
