// Who is told what of a message to a hundred recipients: every mixture of replies with every NOTIFY (RFC 3461
// sections 4 and 5), judged by Python's email package (notification_check.py), which knows what RFC 3461 asks
// and nothing of this code.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/queue/delivery_fixture.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kRecipients = 100;
// RFC 3461 section 4.1: nothing said, NEVER, or any of the others together.
constexpr std::uint8_t kNotify[] = {0,
                                    kNotifyNever,
                                    kNotifySuccess,
                                    kNotifyFailure,
                                    kNotifyDelay,
                                    kNotifySuccess | kNotifyFailure,
                                    kNotifySuccess | kNotifyDelay,
                                    kNotifyFailure | kNotifyDelay,
                                    kNotifySuccess | kNotifyFailure | kNotifyDelay};

std::string notify_text(std::uint8_t notify) {
  if (notify == 0) return "-";
  std::string text;
  const std::pair<std::uint8_t, const char*> names[] = {{kNotifyNever, "NEVER"},
                                                        {kNotifySuccess, "SUCCESS"},
                                                        {kNotifyFailure, "FAILURE"},
                                                        {kNotifyDelay, "DELAY"}};
  for (const auto& [flag, name] : names)
    if ((notify & flag) != 0) text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

// Which replies occur: bit 0: 250, bit 1: 4xx, bit 2: 5xx.
class Mixture : public ::testing::TestWithParam<int> {};

TEST_P(Mixture, EachSenderIsToldWhatWasAskedForAndNothingElse) {
  const std::string python = "/usr/bin/python3";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "there is no " << python;
  // What becomes of a recipient. Those that wait are answered otherwise after five hours, or never.
  std::vector<std::string> fates;
  if ((GetParam() & 1) != 0) fates.push_back("ok");
  if ((GetParam() & 2) != 0) fates.insert(fates.end(), {"lateok", "lateno", "expires"});
  if ((GetParam() & 4) != 0) fates.push_back("no");

  TestMx speaks_dsn, silent_on_dsn;  // the next hop tells of success itself, or does not
  speaks_dsn.extensions.push_back("DSN");
  DeliveryFixture relay;
  relay.serve(speaks_dsn, "dsn.example", "mx.dsn.example", "192.0.2.1");
  relay.serve(silent_on_dsn, "plain.example", "mx.plain.example", "192.0.2.2");
  const WallTime begin = relay.timeline.now();
  speaks_dsn.rcpt = silent_on_dsn.rcpt = [&](const std::string& to) -> std::string {
    const bool late = relay.timeline.now() - begin > hours(5);
    const std::string fate = to.substr(0, to.find('.'));
    if (fate == "ok" || (late && fate == "lateok")) return "250 2.1.5 ok";
    if (fate == "no" || (late && fate == "lateno")) return "550 5.1.1 no such user";
    return "450 4.2.0 mailbox busy";
  };

  const TemporaryDirectory folder;
  std::ofstream expected(folder.path() / "recipients");
  MessageOptions options;
  options.lifetime = hours(10);
  options.envelope_id = "QQ+2B314";
  options.dsn_return = GetParam() % 2 == 0 ? DsnReturn::full : DsnReturn::headers;
  options.body = "Subject: to a hundred\r\n\r\nbody-canary\r\n";
  std::vector<std::string> to;
  for (int i = 0; i < kRecipients; ++i) {
    const auto n = static_cast<std::size_t>(i);
    const std::string& fate = fates[n % fates.size()];
    const std::uint8_t notify = kNotify[n / fates.size() % std::size(kNotify)];
    const bool dsn = i % 2 == 0;
    to.push_back(fate + "." + std::to_string(i) + (dsn ? "@dsn.example" : "@plain.example"));
    RecipientDsn& asked = options.dsn[to.back()];
    asked.notify = notify;
    if (i % 3 == 0) asked.original_recipient = "rfc822;alias+2B" + std::to_string(i) + "@list.example";
    expected << to.back() << " " << fate << " " << notify_text(notify) << " " << (dsn ? "dsn" : "plain")
             << " "
             << (asked.original_recipient.empty() ? "-"
                                                  : "rfc822;alias+" + std::to_string(i) + "@list.example")
             << "\n";
  }
  expected.close();
  relay.start();
  relay.submit(to, options);
  relay.advance(seconds(1));
  const std::size_t at_once = relay.notifications();
  relay.pass(hours(11), minutes(5));

  // One for each event and each of the two destinations, at the most.
  EXPECT_LE(at_once, 2U * ((GetParam() & 4 ? 1 : 0) + (GetParam() & 1 ? 1 : 0)));
  std::size_t n = 0;
  for (const auto& row : relay.rows()) {
    ASSERT_TRUE(row.meta->is_bounce) << row.to << " is left";
    EXPECT_EQ(row.to, "sender@origin.example");
    EXPECT_TRUE(row.meta->reverse_path.empty());
    std::ofstream(folder.path() / (std::to_string(n++) + ".eml"), std::ios::binary)
        << relay.store.content(row.meta->id).value_or("");
  }
  // NOTIFY and ORCPT are the next hop's business where it speaks DSN (RFC 3461 section 5.2.1).
  for (const auto& [address, asked] : options.dsn) {
    const bool speaks = address.ends_with("@dsn.example");
    const auto& lines = speaks ? speaks_dsn.in_clear : silent_on_dsn.in_clear;
    std::string wanted = "RCPT TO:<" + address + ">";
    if (speaks && asked.notify != 0) wanted += " NOTIFY=" + notify_text(asked.notify);
    if (speaks && !asked.original_recipient.empty()) wanted += " ORCPT=" + asked.original_recipient;
    EXPECT_NE(std::find(lines.begin(), lines.end(), wanted), lines.end()) << wanted;
  }
  const std::string command = python + " tests/queue/notification_check.py " + folder.path().string() + " " +
                              (options.dsn_return == DsnReturn::full ? "full" : "headers") + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string said;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) said.append(buffer, got);
  EXPECT_EQ(::pclose(pipe), 0) << said;
}

INSTANTIATE_TEST_SUITE_P(Of, Mixture, ::testing::Range(1, 8), [](const auto& mixture) {
  std::string name;
  if ((mixture.param & 1) != 0) name += "250";
  if ((mixture.param & 2) != 0) name += std::string(name.empty() ? "" : "and") + "4xx";
  if ((mixture.param & 4) != 0) name += std::string(name.empty() ? "" : "and") + "5xx";
  return name;
});

}  // namespace
}  // namespace holdfast
