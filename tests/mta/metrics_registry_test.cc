#include "mta/metrics_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricsRegistry, ExportsCountersWithTheirLabelsSorted) {
  MetricsRegistry metrics;
  metrics.counter("auth_attempts_total", {{"result", "accepted"}, {"mechanism", "PLAIN"}}).add();
  metrics.counter("auth_attempts_total", {{"mechanism", "PLAIN"}, {"result", "accepted"}}).add(2);
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("# HELP holdfast_auth_attempts_total Logins, by mechanism and result.\n"
                              "# TYPE holdfast_auth_attempts_total counter\n"
                              "holdfast_auth_attempts_total{mechanism=\"PLAIN\",result=\"accepted\"} 3"));
}

TEST(MetricsRegistry, TheSameNameAndLabelsAreTheSameObject) {
  MetricsRegistry metrics;
  EXPECT_EQ(&metrics.counter("sts_fetch_total", {{"result", "ok"}}),
            &metrics.counter("sts_fetch_total", {{"result", "ok"}}));
  EXPECT_NE(&metrics.counter("sts_fetch_total", {{"result", "ok"}}),
            &metrics.counter("sts_fetch_total", {{"result", "no"}}));
}

TEST(MetricsRegistry, HistogramsAreCumulative) {
  MetricsRegistry metrics;
  Histogram& histogram = metrics.histogram("store_batch_messages");
  for (const double value : {1.0, 2.0, 3.0, 1000.0}) histogram.observe(value);
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("holdfast_store_batch_messages_count 4"));
  EXPECT_THAT(text, HasSubstr("holdfast_store_batch_messages_sum 1006"));
  EXPECT_THAT(text, HasSubstr("holdfast_store_batch_messages_bucket{le=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("holdfast_store_batch_messages_bucket{le=\"4\"} 3"));
  EXPECT_THAT(text, HasSubstr("holdfast_store_batch_messages_bucket{le=\"+Inf\"} 4"));
}

TEST(MetricsRegistry, GaugesShowTheirLastValueAndNothingBefore) {
  MetricsRegistry metrics;
  EXPECT_THAT(metrics.text(), Not(HasSubstr("queue_bytes")));
  metrics.set("queue_bytes", 10);
  metrics.set("queue_bytes", 7);
  EXPECT_THAT(metrics.text(), HasSubstr("# TYPE holdfast_queue_bytes gauge\nholdfast_queue_bytes 7"));
}

TEST(MetricsRegistry, KnownCountersExistBeforeTheirFirstEvent) {
  const MetricsRegistry metrics;
  EXPECT_THAT(metrics.text(), HasSubstr("holdfast_sts_downgrade_total 0"));
  EXPECT_THAT(metrics.text(), HasSubstr("holdfast_delivery_duration_seconds_count 0"));
}

TEST(MetricsRegistry, LabelValuesAreEscaped) {
  MetricsRegistry metrics;
  metrics.counter("submission_rejections_total", {{"reason", "a\"b\\c\nd"}}).add();
  EXPECT_THAT(metrics.text(), HasSubstr(R"({reason="a\"b\\c\nd"})"));
}

TEST(MetricsRegistry, ANameOfTwoKindsIsABug) {
  MetricsRegistry metrics;
  EXPECT_THROW(metrics.set("sts_downgrade_total", 1), std::logic_error);
  EXPECT_THROW(metrics.histogram("messages_accepted_total"), std::logic_error);
}

TEST(MetricsRegistry, CountsFromManyThreadsAtOnce) {
  MetricsRegistry metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&metrics] {
      for (int i = 0; i < 10000; ++i) {
        metrics.counter("sts_fetch_total", {{"result", "ok"}}).add();
        metrics.histogram("store_batch_messages").observe(1);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(metrics.text(), HasSubstr("holdfast_sts_fetch_total{result=\"ok\"} 40000"));
  EXPECT_THAT(metrics.text(), HasSubstr("holdfast_store_batch_messages_sum 40000"));
}

TEST(MetricsRegistry, TellsTheSeriesOfAMetric) {
  MetricsRegistry metrics;
  EXPECT_TRUE(metrics.samples("tls_sessions_total").empty());
  metrics.counter("tls_sessions_total", {{"policy", "sts"}, {"result_type", "successful"}}).add(3);
  metrics.counter("tls_sessions_total", {{"policy", "tlsa"}, {"result_type", "tlsa-invalid"}}).add();
  metrics.set("queue_bytes", 7);
  const auto sessions = metrics.samples("tls_sessions_total");
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions[0].labels.at("policy"), "sts");
  EXPECT_EQ(sessions[0].value, 3);
  EXPECT_EQ(sessions[1].labels.at("result_type"), "tlsa-invalid");
  EXPECT_EQ(metrics.samples("queue_bytes").at(0).value, 7);
}

TEST(MetricNames, FollowTheConventionsOfPrometheus) {
  for (const MetricInfo& info : metric_names()) {
    EXPECT_EQ(info.name.ends_with("_total"), info.kind == MetricKind::counter) << info.name;
    EXPECT_TRUE(info.help.ends_with('.')) << info.name;
    EXPECT_EQ(info.buckets.empty(), info.kind != MetricKind::histogram) << info.name;
    EXPECT_TRUE(std::is_sorted(info.buckets.begin(), info.buckets.end())) << info.name;
  }
}

}  // namespace
}  // namespace holdfast
