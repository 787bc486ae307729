// tests/queue/deliverer_fixture.h — one delivery at a time, to two servers; or to a domain that enforces TLS.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {

class Delivery : public ::testing::Test {
 protected:
  void boot(Settings settings = delivery_settings()) {
    relay = std::make_unique<DeliveryFixture>(std::move(settings));
  }
  // Submits, and lets the first attempt happen.
  QueueId send(const std::vector<std::string>& to, MessageOptions options = {}) {
    relay->start();
    const QueueId id = relay->submit(to, std::move(options));
    relay->advance(std::chrono::seconds(1));
    return id;
  }
  bool said_in_clear(const TestMx& server, const std::string& verb) {
    for (const auto& line : server.in_clear)
      if (line.starts_with(verb)) return true;
    return false;
  }

  TestMx mx, other;  // outlive the relay
  std::unique_ptr<DeliveryFixture> relay;
};

class EnforceDomain : public Delivery {
 protected:
  void SetUp() override {
    boot();
    relay->enforce("a.example", {"mx.a.example"});
    mx.tls = certificate_for("mx.a.example");
    relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  }
  void expect_held(TlsError) {
    EXPECT_TRUE(mx.taken.empty());
    EXPECT_FALSE(said_in_clear(mx, "MAIL"));
    EXPECT_FALSE(said_in_clear(mx, "RCPT"));
    EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
    const auto rows = relay->rows();
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_TRUE(rows[0].policy);
    EXPECT_THAT(rows[0].reason, ::testing::HasSubstr("mx.a.example"));
    ASSERT_EQ(relay->log.events("deferred").size(), 1U);
    EXPECT_THAT(relay->log.events("deferred")[0].fields, ::testing::HasSubstr("\"enhanced\":\"4.7.5\""));
    EXPECT_EQ(relay->log.events("policy_refused").size(), 1U);
  }
};

}  // namespace holdfast
