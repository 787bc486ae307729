#include "queue/dsn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "queue/dsn_text.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return ++value_; }

 private:
  std::uint64_t value_ = 0;
};

class DsnTest : public testing::Test {
 protected:
  DsnTest() {
    meta_.id = QueueId::make(kNow, random_);
    meta_.reverse_path = make_mailbox("sender", "source.example");
    meta_.accepted = kNow - 1h;
    meta_.envelope_id = "QQ+2B1";
    meta_.message_id = "<1@source.example>";
    meta_.prefix_size = 13;
    meta_.body_size = 100;
    request_.original_header = "Received: x\r\nFrom: sender@source.example\r\nSubject: hello\r\n";
    request_.hostname = "relay.example";
    request_.postmaster = "postmaster@relay.example";
    request_.now = kNow;
    request_.will_retry_until = kNow + 120h;
    request_.bounce_expire = 24h;
    DsnRecipient recipient;
    recipient.address = make_mailbox("a", "one.example");
    recipient.dsn.original_recipient = "rfc822;a+2Balias@one.example";
    recipient.status = "5.1.1";
    recipient.diagnostic = "smtp; 550 5.1.1 no such user";
    recipient.remote_mta = "mx.one.example";
    recipient.explanation = "The server mx.one.example does not know this address.";
    recipient.last_attempt = kNow;
    request_.recipients.push_back(recipient);
  }

  std::optional<Accept> build() {
    request_.original = std::make_shared<const MessageMeta>(meta_);
    return build_dsn(request_, random_);
  }
  std::string text() {
    const auto dsn = build();
    return dsn ? dsn->prefix + (dsn->body_of ? "Subject: hello\r\n\r\nBODY\r\n" : "") + dsn->suffix : "none";
  }

  inline static const WallTime kNow{std::chrono::seconds(1'000'000'000)};
  CountingRandom random_;
  MessageMeta meta_;
  DsnRequest request_;
};

TEST_F(DsnTest, AFailureReadsLikeThis) {
  const std::string expected = R"(Date: Sun, 09 Sep 2001 01:46:40 +0000
From: Mail relay <postmaster@relay.example>
To: <sender@source.example>
Subject: Undelivered mail returned to sender
Message-ID: <00x3aaa4000c00000000000100@relay.example>
References: <1@source.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="00000000000000050000000000000006"

This is a MIME message with a delivery status notification.

--00000000000000050000000000000006
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail relay relay.example.

Your message could not be delivered to one or more of its recipients. It
will not be tried again for those named below.

<a@one.example>
    The server mx.one.example does not know this address.
    mx.one.example said: 550 5.1.1 no such user

If you cannot make sense of this, ask postmaster@relay.example.

--00000000000000050000000000000006
Content-Description: Delivery report
Content-Type: message/delivery-status

Original-Envelope-Id: QQ+1
Reporting-MTA: dns; relay.example
Arrival-Date: Sun, 09 Sep 2001 00:46:40 +0000

Original-Recipient: rfc822;a+alias@one.example
Final-Recipient: rfc822; a@one.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.one.example
Diagnostic-Code: smtp; 550 5.1.1 no such user
Last-Attempt-Date: Sun, 09 Sep 2001 01:46:40 +0000

--00000000000000050000000000000006
Content-Description: Undelivered message
Content-Type: message/rfc822

Received: x
Subject: hello

BODY

--00000000000000050000000000000006--
)";
  std::string unix_text = text();
  std::erase(unix_text, '\r');
  EXPECT_EQ(unix_text, expected);
}

TEST_F(DsnTest, GoesToTheReversePathFromTheNullSender) {
  const auto dsn = build();
  ASSERT_TRUE(dsn);
  EXPECT_TRUE(dsn->meta.reverse_path.empty());
  EXPECT_TRUE(dsn->meta.is_bounce);
  EXPECT_EQ(dsn->meta.origin, "bounce");
  EXPECT_EQ(dsn->meta.expires, kNow + 24h);
  ASSERT_EQ(dsn->recipients.size(), 1u);
  EXPECT_EQ(dsn->recipients[0].address.text(), "sender@source.example");
}

TEST_F(DsnTest, SharesTheBodyOfAFailure) {
  const auto dsn = build();
  EXPECT_EQ(dsn->body_of, meta_.id);
  EXPECT_TRUE(dsn->prefix.ends_with("Content-Type: message/rfc822\r\n\r\nReceived: x\r\n"));
  EXPECT_THAT(dsn->suffix, HasSubstr("--\r\n"));
}

TEST_F(DsnTest, ReturnsHeadersWhereTheBodyMustNot) {
  auto headers_only = [&] {
    const auto dsn = build();
    EXPECT_FALSE(dsn->body_of);
    EXPECT_EQ(dsn->suffix, "");
    EXPECT_THAT(dsn->prefix, HasSubstr("Content-Type: text/rfc822-headers\r\n\r\nReceived: x\r\nFrom: "));
    EXPECT_TRUE(dsn->prefix.ends_with("--\r\n"));
    EXPECT_FALSE(dsn->meta.tls.requiretls);
  };
  meta_.dsn_return = DsnReturn::headers;
  headers_only();
  meta_.dsn_return = DsnReturn::full;
  meta_.tls.requiretls = true;
  headers_only();
  meta_.tls.requiretls = false;
  request_.kind = DsnKind::delayed;
  headers_only();
}

TEST_F(DsnTest, NotifyDecidesWhoIsToldWhat) {
  const std::pair<std::uint8_t, std::vector<DsnKind>> cases[] = {
      {0, {DsnKind::failed, DsnKind::delayed}},
      {kNotifyNever, {}},
      {kNotifyFailure, {DsnKind::failed}},
      {kNotifyDelay, {DsnKind::delayed}},
      {kNotifySuccess, {DsnKind::relayed, DsnKind::delivered}},
      {kNotifySuccess | kNotifyFailure | kNotifyDelay,
       {DsnKind::failed, DsnKind::delayed, DsnKind::relayed, DsnKind::delivered}},
  };
  for (const auto& [notify, told] : cases) {
    request_.recipients[0].dsn.notify = notify;
    for (const DsnKind kind : {DsnKind::failed, DsnKind::delayed, DsnKind::relayed, DsnKind::delivered}) {
      request_.kind = kind;
      const bool expected = std::find(told.begin(), told.end(), kind) != told.end();
      EXPECT_EQ(build().has_value(), expected) << int{notify} << " " << static_cast<int>(kind);
    }
  }
}

TEST_F(DsnTest, TellsOnlyOfRecipientsThatAskedForIt) {
  DsnRecipient silent = request_.recipients[0];
  silent.address = make_mailbox("silent", "one.example");
  silent.dsn.notify = kNotifyNever;
  request_.recipients.push_back(silent);
  EXPECT_THAT(text(), Not(HasSubstr("silent@")));
  EXPECT_THAT(text(), HasSubstr("a@one.example"));
}

TEST_F(DsnTest, TheNullSenderIsNeverTold) {
  meta_.reverse_path = {};
  for (const DsnKind kind : {DsnKind::failed, DsnKind::delayed, DsnKind::relayed, DsnKind::delivered}) {
    request_.kind = kind;
    EXPECT_FALSE(build());
  }
}

TEST_F(DsnTest, AnUndeliverableBounceGoesToThePostmasterOnce) {
  meta_.reverse_path = {};
  meta_.is_bounce = true;
  const auto dsn = build();
  ASSERT_TRUE(dsn);
  EXPECT_EQ(dsn->recipients[0].address.text(), "postmaster@relay.example");
  EXPECT_FALSE(dsn->body_of);
  EXPECT_TRUE(dsn->meta.is_bounce);
  meta_.origin = dsn->meta.origin;
  request_.recipients[0].address = dsn->recipients[0].address;
  EXPECT_FALSE(build()) << "once";
  request_.postmaster = "somebody.else@relay.example";
  EXPECT_FALSE(build()) << "nor is the next postmaster told of the last one's";
  meta_.origin = "bounce";
  request_.postmaster = "postmaster@relay.example";
  EXPECT_FALSE(build()) << "a bounce to the postmaster failed: there is nobody else to tell";
  request_.recipients[0].address = make_mailbox("a", "one.example");
  request_.kind = DsnKind::delayed;
  EXPECT_FALSE(build());
}

TEST_F(DsnTest, NothingThatAPeerSaidBreaksAField) {
  DsnRecipient& recipient = request_.recipients[0];
  recipient.diagnostic = "smtp; 550 bad\r\nX-Injected: yes\r\n\r\nbody";
  recipient.remote_mta = "mx\r\nX-Injected: yes";
  recipient.explanation = "bad\r\nX-Injected: yes";
  recipient.policy = "sts\r\nX-Injected: yes";
  recipient.dsn.original_recipient = "rfc822;a+0D+0AX-Injected:+20yes@one.example";
  meta_.envelope_id = "a+0D+0AX-Injected:+20yes";
  meta_.message_id = "<a>\r\nX-Injected: yes>";
  EXPECT_THAT(text(), Not(HasSubstr("\nX-Injected")));
}

TEST_F(DsnTest, TellsThePolicyInWordsAndAsAField) {
  DsnRecipient& recipient = request_.recipients[0];
  recipient.status = "4.7.5";
  recipient.diagnostic = "";
  recipient.explanation =
      "one.example publishes an MTA-STS policy in enforce mode, and the certificate of mx.one.example is for "
      "another host.";
  recipient.policy = "sts enforce certificate-host-mismatch";
  EXPECT_THAT(text(), HasSubstr("\r\nX-Holdfast-TLS-Policy: sts enforce certificate-host-mismatch\r\n"));
  EXPECT_THAT(text(), HasSubstr("    one.example publishes an MTA-STS policy in enforce mode"));
  EXPECT_THAT(text(), Not(HasSubstr("Diagnostic-Code")));
}

TEST_F(DsnTest, ADelaySaysUntilWhenItIsTried) {
  request_.kind = DsnKind::delayed;
  request_.recipients[0].status = "4.4.1";
  EXPECT_THAT(text(), HasSubstr("\r\nAction: delayed\r\nStatus: 4.4.1\r\n"));
  EXPECT_THAT(text(), HasSubstr("\r\nWill-Retry-Until: Fri, 14 Sep 2001 01:46:40 +0000\r\n"));
}

TEST_F(DsnTest, InternationalMailHasItsOwnForms) {
  meta_.smtputf8 = true;
  request_.recipients[0].address = make_mailbox("d\xc3\xb6rte", "one.example");
  const auto dsn = build();
  EXPECT_TRUE(dsn->meta.smtputf8);
  EXPECT_EQ(dsn->meta.body_type, BodyType::eight_bit);
  EXPECT_THAT(text(), HasSubstr("Content-Type: message/global-delivery-status\r\n"));
  EXPECT_THAT(text(), HasSubstr("Final-Recipient: utf-8; d\xc3\xb6rte@one.example\r\n"));
  EXPECT_THAT(text(), HasSubstr("Content-Type: message/global\r\n"));
}

TEST_F(DsnTest, AsciiMailKeepsAsciiFormsForAnInternationalRecipient) {
  request_.recipients[0].address = make_mailbox("d\xc3\xb6rte", "one.example");
  const auto dsn = build();
  EXPECT_FALSE(dsn->meta.smtputf8);
  EXPECT_THAT(text(), HasSubstr("Final-Recipient: utf-8; d\\x{F6}rte@one.example\r\n"));
  EXPECT_THAT(text(), HasSubstr("Content-Type: message/delivery-status\r\n"));
}

TEST_F(DsnTest, EightBitOriginalsMakeEightBitBounces) {
  EXPECT_EQ(build()->meta.body_type, BodyType::seven_bit);
  meta_.body_type = BodyType::eight_bit;
  EXPECT_EQ(build()->meta.body_type, BodyType::eight_bit);
  EXPECT_THAT(text(), HasSubstr("message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
  meta_.dsn_return = DsnReturn::headers;
  EXPECT_EQ(build()->meta.body_type, BodyType::seven_bit);
}

TEST_F(DsnTest, LinesStayShort) {
  request_.recipients[0].diagnostic = "smtp; 550 " + std::string(5000, 'x');
  request_.recipients[0].explanation = std::string(5000, 'y');
  const std::string all = text();
  std::size_t start = 0;
  for (std::size_t end = 0; (end = all.find("\r\n", start)) != std::string::npos; start = end + 2)
    EXPECT_LE(end - start, 998u);
}

TEST(DsnText, WrapsWords) {
  EXPECT_EQ(wrap_words("a b", "  "), "  a b\r\n");
  EXPECT_EQ(wrap_words("", "  "), "");
  const std::string wrapped = wrap_words(std::string(40, 'a') + " " + std::string(40, 'b'), "");
  EXPECT_EQ(wrapped, std::string(40, 'a') + "\r\n" + std::string(40, 'b') + "\r\n");
}

// Read by a parser that we did not write.
TEST_F(DsnTest, PythonReadsIt) {
  const std::string python = "/usr/bin/python3";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "there is no " << python;
  DsnRecipient second = request_.recipients[0];
  second.address = make_mailbox("b", "two.example");
  second.policy = "dane tlsa-invalid";
  request_.recipients.push_back(second);
  for (const DsnReturn what : {DsnReturn::full, DsnReturn::headers}) {
    meta_.dsn_return = what;
    const TemporaryDirectory directory;
    std::ofstream(directory.path() / "dsn", std::ios::binary) << text();
    const std::string command = python + " tests/queue/dsn_parse.py < " + (directory.path() / "dsn").string();
    FILE* pipe = ::popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string json;
    char buffer[4096];
    while (std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) json.append(buffer, got);
    ASSERT_EQ(::pclose(pipe), 0) << json;
    EXPECT_THAT(json, HasSubstr(R"("defects": [])"));
    EXPECT_THAT(json, HasSubstr(R"("type": "multipart/report")"));
    EXPECT_THAT(json, HasSubstr(R"("report": "delivery-status")"));
    EXPECT_THAT(json, HasSubstr(R"("Original-Envelope-Id": "QQ+1")"));
    EXPECT_THAT(json, HasSubstr(R"("Reporting-MTA": "dns; relay.example")"));
    EXPECT_THAT(json, HasSubstr(R"("Original-Recipient": "rfc822;a+alias@one.example")"));
    EXPECT_THAT(json, HasSubstr(R"("Final-Recipient": "rfc822; b@two.example")"));
    EXPECT_THAT(json, HasSubstr(R"("X-Holdfast-TLS-Policy": "dane tlsa-invalid")"));
    EXPECT_THAT(json, HasSubstr(R"("Diagnostic-Code": "smtp; 550 5.1.1 no such user")"));
    if (what == DsnReturn::full) {
      EXPECT_THAT(json, HasSubstr(R"("parts": ["text/plain", "message/delivery-status", "message/rfc822"])"));
      EXPECT_THAT(json, HasSubstr(R"("returned": "Received: x\nSubject: hello\n\nBODY\n")"));
    } else {
      EXPECT_THAT(json,
                  HasSubstr(R"("parts": ["text/plain", "message/delivery-status", "text/rfc822-headers"])"));
      EXPECT_THAT(json, Not(HasSubstr("BODY")));
    }
  }
}

}  // namespace
}  // namespace holdfast
