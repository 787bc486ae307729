#include "queue/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/base/base_error.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/recording_work.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class Chunks final : public BodySource {
 public:
  Chunks(std::string content, std::size_t step) : content_(std::move(content)), step_(step) {}
  asio::awaitable<Result<std::string_view>> next() override {
    if (breaks_at && at_ >= *breaks_at) co_return Error(BaseError::reset, "the client went away");
    const std::string_view chunk = std::string_view(content_).substr(std::min(at_, content_.size()), step_);
    at_ += chunk.size();
    co_return chunk;
  }
  std::optional<std::size_t> breaks_at;

 private:
  std::string content_;
  std::size_t step_;
  std::size_t at_ = 0;
};

// "Signs" by telling what it was given.
class TellingSigner final : public MessageSigner {
 public:
  class Signing final : public MessageSigning {
   public:
    Signing(std::string& seen, std::string domain) : seen_(seen), domain_(std::move(domain)) {}
    void body(std::string_view octets) override { seen_ += octets; }
    Result<std::string> finish(const std::vector<HeaderField>& fields) override {
      std::string names;
      for (const auto& field : fields) names += std::string(field.name) + " ";
      return "DKIM-Signature: d=" + domain_ + "; h=" + names + "\r\n";
    }

   private:
    std::string& seen_;
    std::string domain_;
  };
  Result<std::unique_ptr<MessageSigning>> begin(const DkimSettings&, const std::string& domain,
                                                WallTime) override {
    if (broken) return Error(BaseError::io, "key.pem");
    if (domain != "source.example") return std::unique_ptr<MessageSigning>();
    return std::unique_ptr<MessageSigning>(std::make_unique<Signing>(body, domain));
  }
  std::string body;
  bool broken = false;
};

class IntakeTest : public testing::Test {
 protected:
  IntakeTest() {
    Settings& s = source_.settings;
    s.hostname = "relay.example";
    s.postmaster = "postmaster@relay.example";
    s.limits.message_size = 100'000;
    s.limits.received_hops = 3;
    s.limits.line_length = 998;
    s.limits.header_size = 4000;
    s.delivery.expire = 5 * 24h;
    s.queue.bounce_expire = 24h;
    envelope_.origin = "submission";
    envelope_.user = "app";
    envelope_.senders = {"@source.example"};
    envelope_.reverse_path = make_mailbox("sender", "source.example");
    envelope_.recipients.push_back({make_mailbox("a", "one.example"), {}});
    envelope_.trace = {"client.example", "192.0.2.7", "ESMTPSA", "TLSv1.3 TLS_AES_256_GCM_SHA384",
                       "[::]:587"};
  }

  Acceptance submit(const std::string& content, std::size_t step = 1000) {
    Chunks chunks(content, step);
    return run(intake_.accept(envelope_, chunks)).value();
  }
  std::string stored(const std::string& content, std::size_t step = 1000) {
    const auto acceptance = submit(content, step);
    EXPECT_TRUE(acceptance.id) << acceptance.refusal.summary();
    return acceptance.id ? store_.content(*acceptance.id).value_or("gone") : "";
  }
  std::string refused(const std::string& content) {
    const auto acceptance = submit(content);
    EXPECT_FALSE(acceptance.id) << content;
    EXPECT_THAT(run(store_.list({})).value(), IsEmpty());
    return acceptance.refusal.summary();
  }
  const MessageMeta& meta() { return *ready_.offered.at(0).meta; }

  const std::string head_ = "From: sender@source.example\r\nDate: x\r\nMessage-ID: <1@source.example>\r\n";
  FakeClock clock_;
  Timeline timeline_{clock_};
  std::unique_ptr<Random> random_ = make_system_random();
  MemoryStore store_{clock_};
  RecordingWork ready_;
  FixedSettings source_;
  CapturingLog log_;
  CapturingMetrics metrics_;
  TellingSigner signer_;
  Envelope envelope_;
  Intake intake_{
      Intake::Parts{store_, ready_, source_, clock_, timeline_, *random_, log_, metrics_, &signer_}};
};

TEST_F(IntakeTest, KeepsTheMessageToTheOctetBehindItsTrace) {
  const std::string content = head_ + "Subject:  odd   spacing\r\n\tfolded\r\n\r\nHello\r\n..dots\r\n\r\n";
  for (const std::size_t step : {1u, 2u, 3u, 7u, 64u, 1000u}) {
    const std::string all = stored(content, step);
    EXPECT_THAT(all, StartsWith("Received: from client.example ([192.0.2.7])"));
    EXPECT_TRUE(all.ends_with("+0000\r\n" + content)) << all;
  }
}

TEST_F(IntakeTest, OffersTheRecipientsAtOnceWhenThereIsRoom) {
  ASSERT_TRUE(submit(head_ + "\r\nHello\r\n").id);
  ASSERT_THAT(ready_.offered, SizeIs(1));
  EXPECT_EQ(ready_.offered[0].domain, "one.example");
  EXPECT_EQ(ready_.looks, 0);
}

TEST_F(IntakeTest, LeavesTheRecipientsToTheSweepWhenThereIsNone) {
  ready_.room = false;
  ASSERT_TRUE(submit(head_ + "\r\nHello\r\n").id);
  EXPECT_THAT(ready_.offered, IsEmpty());
  EXPECT_EQ(ready_.looks, 1);
  EXPECT_THAT(run(store_.due(timeline_.now(), 10)).value().domains, SizeIs(1));
}

TEST_F(IntakeTest, FillsInTheMeta) {
  envelope_.envelope_id = "E1";
  envelope_.dsn_return = DsnReturn::headers;
  envelope_.recipients[0].dsn = {kNotifySuccess, "rfc822;a@one.example"};
  const auto acceptance = submit(head_ + "\r\nHello\r\n");
  EXPECT_EQ(meta().id, acceptance.id);
  EXPECT_EQ(meta().origin, "submission");
  EXPECT_EQ(meta().user, "app");
  EXPECT_EQ(meta().envelope_id, "E1");
  EXPECT_EQ(meta().dsn_return, DsnReturn::headers);
  EXPECT_EQ(meta().message_id, "<1@source.example>");
  EXPECT_EQ(meta().accepted, timeline_.now());
  EXPECT_EQ(meta().expires, timeline_.now() + 5 * 24h);
  EXPECT_EQ(ready_.offered[0].recipients[0].dsn.original_recipient, "rfc822;a@one.example");
}

TEST_F(IntakeTest, AddsDateAndMessageIdWhereTheyAreMissing) {
  const auto acceptance = submit("From: sender@source.example\r\n\r\nHello\r\n");
  const std::string all = store_.content(*acceptance.id).value();
  EXPECT_THAT(all, HasSubstr("\r\nDate: Sun, 01 Mar 2026 00:00:00 +0000\r\n"));
  EXPECT_THAT(all, HasSubstr("\r\nMessage-ID: <"));
  EXPECT_THAT(meta().message_id, HasSubstr("@relay.example>"));
  EXPECT_TRUE(all.ends_with("From: sender@source.example\r\n\r\nHello\r\n"));
}

TEST_F(IntakeTest, RemovesWhatRecipientsMustNotSee) {
  const std::string all =
      stored("Return-Path: <x@y.example>\r\nbcc: secret@one.example,\r\n  other@one.example\r\n" + head_ +
             "Resent-Bcc: third@one.example\r\nX-Bcc: stays\r\n\r\nBcc: in the body stays\r\n");
  EXPECT_THAT(all, Not(HasSubstr("secret")));
  EXPECT_THAT(all, Not(HasSubstr("other@")));
  EXPECT_THAT(all, Not(HasSubstr("third")));
  EXPECT_THAT(all, Not(HasSubstr("Return-Path")));
  EXPECT_TRUE(all.ends_with(head_ + "X-Bcc: stays\r\n\r\nBcc: in the body stays\r\n"));
}

TEST_F(IntakeTest, AddsAMissingFinalLineEndAndNothingElse) {
  for (const std::size_t step : {1u, 5u, 1000u}) {
    EXPECT_TRUE(stored(head_ + "\r\nHello", step).ends_with("\r\n\r\nHello\r\n"));
    EXPECT_TRUE(stored(head_ + "X: y", step).ends_with("X: y\r\n"));
    EXPECT_TRUE(stored(head_ + "\r\n", step).ends_with(head_ + "\r\n"));
  }
}

TEST_F(IntakeTest, AMessageWithoutHeaderGetsOneFromATrustedClient) {
  envelope_.trusted_client = true;
  envelope_.senders.clear();
  const std::string all = stored("just text\r\nmore");
  EXPECT_THAT(all, HasSubstr("\r\nFrom: sender@source.example\r\n"));
  EXPECT_TRUE(all.ends_with("\r\n\r\njust text\r\nmore\r\n")) << all;
}

TEST_F(IntakeTest, RefusesWhatFromMayNotSay) {
  EXPECT_THAT(refused("From: boss@corp.example\r\n\r\nx\r\n"), StartsWith("550 5.7.1 boss@corp.example"));
  EXPECT_THAT(refused("From: \"sender@source.example\" <boss@corp.example>\r\n\r\nx\r\n"),
              StartsWith("550 5.7.1"));
  EXPECT_THAT(refused("From: sender@source.example, boss@corp.example\r\n\r\nx\r\n"),
              StartsWith("550 5.7.1"));
  EXPECT_THAT(refused("From: <sender@source.example> <boss@corp.example>\r\n\r\nx\r\n"),
              StartsWith("550 5.7.1"));
  EXPECT_THAT(refused("From: sender@source.example\r\nfrom: boss@corp.example\r\n\r\nx\r\n"),
              StartsWith("550 5.6.0"));
  EXPECT_THAT(refused("Subject: nobody\r\n\r\nx\r\n"), StartsWith("550 5.6.0"));
}

TEST_F(IntakeTest, ANullReversePathCannotMendAMissingFrom) {
  envelope_.trusted_client = true;
  envelope_.senders.clear();
  envelope_.reverse_path = {};
  EXPECT_THAT(refused("Subject: x\r\n\r\nx\r\n"), StartsWith("550 5.6.0"));
}

TEST_F(IntakeTest, RefusesSmuggledLineEnds) {
  EXPECT_THAT(refused(head_ + "\r\nHello\n.\nMAIL FROM:<x>\r\n"), StartsWith("554 5.6.0"));
  EXPECT_THAT(refused(head_ + "\r\nHello\rthere\r\n"), StartsWith("554 5.6.0"));
  EXPECT_THAT(refused(head_ + "\r\nHello" + std::string(1, '\0') + "\r\n"), StartsWith("554 5.6.0"));
  EXPECT_THAT(refused("Subject: a\nFrom: sender@source.example\r\n\r\nx\r\n"), StartsWith("554 5.6.0"));
  EXPECT_THAT(refused(head_ + "\r\nends in a CR\r"), StartsWith("554 5.6.0"));
}

TEST_F(IntakeTest, RefusesLinesThatAreTooLongUnlessToldToTakeThem) {
  const std::string content = head_ + "\r\n" + std::string(999, 'x') + "\r\n";
  EXPECT_THAT(refused(content), StartsWith("554 5.6.0"));
  EXPECT_TRUE(submit(head_ + "\r\n" + std::string(998, 'x') + "\r\n").id);
  source_.settings.limits.long_lines = LongLines::accept;
  EXPECT_TRUE(submit(content).id);
}

TEST_F(IntakeTest, RefusesWhatIsTooLarge) {
  std::string body;
  while (body.size() < 100'000) body += std::string(98, 'x') + "\r\n";
  EXPECT_THAT(refused(head_ + "\r\n" + body), StartsWith("552 5.3.4"));
  EXPECT_THAT(refused("X: " + std::string(900, 'y') + "\r\n" + "X: " + std::string(900, 'y') + "\r\n" +
                      "X: " + std::string(900, 'y') + "\r\n" + "X: " + std::string(900, 'y') + "\r\n" +
                      "X: " + std::string(900, 'y') + "\r\n"),
              StartsWith("552 5.3.4 Header"));
}

TEST_F(IntakeTest, RefusesALoop) {
  EXPECT_THAT(refused("Received: a\r\nReceived: b\r\nReceived: c\r\nreceived: d\r\n" + head_ + "\r\nx\r\n"),
              StartsWith("554 5.4.6"));
  EXPECT_TRUE(submit("Received: a\r\nReceived: b\r\nReceived: c\r\n" + head_ + "\r\nx\r\n").id);
}

TEST_F(IntakeTest, RefusesAMalformedHeader) {
  EXPECT_THAT(refused(head_ + "no field\r\n\r\nx\r\n"), StartsWith("550 5.6.0"));
  EXPECT_THAT(refused(head_ + "Subject: caf\xe9\r\n\r\nx\r\n"), StartsWith("550 5.6.0"));
}

TEST_F(IntakeTest, KnowsWhatTheNextHopMustBeAbleToDo) {
  ASSERT_TRUE(submit(head_ + "\r\nplain\r\n").id);
  ASSERT_TRUE(submit(head_ + "\r\ncaf\xc3\xa9\r\n", 1).id);
  ASSERT_TRUE(submit(head_ + "Subject: caf\xc3\xa9\r\n\r\nplain\r\n").id);
  envelope_.body = BodyType::eight_bit;
  envelope_.smtputf8 = true;
  ASSERT_TRUE(submit(head_ + "\r\nplain\r\n").id);
  auto of = [&](std::size_t i) { return *ready_.offered.at(i).meta; };
  EXPECT_EQ(of(0).body_type, BodyType::seven_bit);
  EXPECT_EQ(of(1).body_type, BodyType::eight_bit);
  EXPECT_FALSE(of(1).smtputf8);
  EXPECT_TRUE(of(2).smtputf8);
  EXPECT_EQ(of(3).body_type, BodyType::seven_bit) << "what the client declared does not count";
  EXPECT_FALSE(of(3).smtputf8);
}

TEST_F(IntakeTest, TlsRequiredNoCountsOnlyForThoseWhoMaySayIt) {
  const std::string content = head_ + "TLS-Required: no\r\n\r\nx\r\n";
  ASSERT_TRUE(submit(content).id);
  envelope_.may_say_tls_required_no = true;
  ASSERT_TRUE(submit(content).id);
  envelope_.tls.requiretls = true;
  ASSERT_TRUE(submit(content).id);
  auto of = [&](std::size_t i) { return *ready_.offered.at(i).meta; };
  EXPECT_FALSE(of(0).tls.tls_required_no);
  EXPECT_TRUE(of(1).tls.tls_required_no);
  EXPECT_FALSE(of(1).counts_in_tlsrpt);
  EXPECT_FALSE(of(2).tls.tls_required_no) << "REQUIRETLS wins";
  EXPECT_TRUE(of(2).tls.requiretls);
}

TEST_F(IntakeTest, PostmasterIsTheOneOfTheSettings) {
  envelope_.recipients[0].address = make_mailbox("Postmaster", "");
  ASSERT_TRUE(submit(head_ + "\r\nx\r\n").id);
  EXPECT_EQ(ready_.offered.at(0).recipients.at(0).address.text(), "postmaster@relay.example");
}

TEST_F(IntakeTest, AFullStoreIsATemporaryRefusal) {
  store_.fail_next(StoreError::full);
  EXPECT_THAT(refused(head_ + "\r\nx\r\n"), StartsWith("452 4.3.1"));
  store_.fail_next(StoreError::io);
  EXPECT_THAT(refused(head_ + "\r\nx\r\n"), StartsWith("451 4.3.0"));
  EXPECT_THAT(ready_.offered, IsEmpty());
  store_.fail_next(StoreError::failed_for_good);
  EXPECT_THAT(refused(head_ + "\r\nx\r\n"), StartsWith("451 4.3.0"));
  EXPECT_THAT(refused(head_ + "\r\nx\r\n"), StartsWith("451 4.3.0"));
  EXPECT_EQ(metrics_.count("messages_accepted_total{listener=[::]:587}"), 0u);
}

TEST_F(IntakeTest, AdmitsNothingBelowTheReserveOrBeyondTheSize) {
  EXPECT_FALSE(intake_.admit(0));
  EXPECT_FALSE(intake_.admit(100'000));
  EXPECT_THAT(intake_.admit(100'001)->summary(), StartsWith("552 5.3.4"));
  store_.set_low_on_space(true);
  EXPECT_THAT(intake_.admit(0)->summary(), StartsWith("452 4.3.1"));
}

TEST_F(IntakeTest, AClientThatGoesAwayLeavesNothing) {
  const std::string content = head_ + "\r\nHello\r\n";
  for (std::size_t at = 0; at <= content.size(); at += 10) {
    Chunks chunks(content, 10);
    chunks.breaks_at = at;
    const auto result = run(intake_.accept(envelope_, chunks));
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().is(BaseError::reset));
  }
  EXPECT_THAT(run(store_.list({})).value(), IsEmpty());
}

TEST_F(IntakeTest, ReleaseAndExpiryAreTheEnvelopes) {
  envelope_.release = timeline_.now() + 1h;
  envelope_.expires = timeline_.now() + 2h;
  ASSERT_TRUE(submit(head_ + "\r\nx\r\n").id);
  EXPECT_THAT(ready_.offered, IsEmpty());
  EXPECT_EQ(ready_.looks, 1);
  const auto rows = run(store_.list({})).value();
  EXPECT_EQ(rows.at(0).meta->release, timeline_.now() + 1h);
  EXPECT_EQ(rows.at(0).meta->expires, timeline_.now() + 2h);
}

TEST_F(IntakeTest, NullSenderMailLivesShorter) {
  envelope_.reverse_path = {};
  ASSERT_TRUE(submit(head_ + "\r\nx\r\n").id);
  EXPECT_EQ(meta().expires, timeline_.now() + 24h);
}

TEST_F(IntakeTest, AnIdempotencyKeyIsAcceptedOnce) {
  envelope_.idempotency_key = "k";
  const auto first = submit(head_ + "\r\nx\r\n").id;
  const auto second = submit(head_ + "\r\nx\r\n").id;
  EXPECT_EQ(first, second);
  EXPECT_THAT(ready_.offered, SizeIs(1));
  EXPECT_EQ(metrics_.count("messages_accepted_total{listener=[::]:587}"), 1u);
}

TEST_F(IntakeTest, SignsForTheAuthorsDomainWhenAsked) {
  EXPECT_THAT(stored(head_ + "\r\nHello\r\n"), Not(HasSubstr("DKIM-Signature")));
  source_.settings.dkim.sign = DkimSigning::sender_domain;
  for (const std::size_t step : {1u, 10u, 1000u}) {
    signer_.body.clear();
    const std::string all =
        stored("From: sender@source.example\r\nBcc: x@y.example\r\nTo: a\r\n\r\nHello\r\nworld", step);
    EXPECT_THAT(all, HasSubstr("\r\nDKIM-Signature: d=source.example; h=Message-ID Date From To \r\n"));
    EXPECT_EQ(signer_.body, "Hello\r\nworld\r\n") << step;
  }
}

TEST_F(IntakeTest, SignsWhateverTheSettingsSayWhenTheEnvelopeAsks) {
  envelope_.signing_domain = "source.example";
  EXPECT_THAT(stored(head_ + "\r\nHello\r\n"), HasSubstr("DKIM-Signature: d=source.example"));
  store_.fail_next(StoreError::io);
  envelope_.signing_domain = "keyless.example";
  EXPECT_THAT(submit(head_ + "\r\nx\r\n").refusal.summary(), StartsWith("451 4.3.0"));
  source_.settings.dkim.sign = DkimSigning::sender_domain;
  envelope_.signing_domain.clear();
  signer_.broken = true;
  EXPECT_THAT(submit(head_ + "\r\nx\r\n").refusal.summary(), StartsWith("451 4.3.0"));
}

TEST_F(IntakeTest, TellsTheLogAndTheMetrics) {
  const auto id = *submit(head_ + "\r\nHello\r\n").id;
  const auto events = log_.events("accepted");
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_THAT(events[0].fields, HasSubstr("\"msg\":\"" + id.text() + "\""));
  EXPECT_THAT(events[0].fields, HasSubstr("\"from\":\"sender@source.example\""));
  EXPECT_THAT(events[0].fields, HasSubstr("\"to\":\"a@one.example\""));
  EXPECT_THAT(events[0].fields, HasSubstr("\"version\":\"TLSv1.3\""));
  EXPECT_EQ(metrics_.count("messages_accepted_total{listener=[::]:587}"), 1u);
}

}  // namespace
}  // namespace holdfast
