#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "queue/dkim_canonical.h"
#include "queue/dkim_notification.h"
#include "queue/dkim_record.h"
#include "queue/dkim_signer.h"
#include "smtp/wire/base64.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/run.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

std::string canonical_body(const std::string& body, std::size_t step) {
  RelaxedBody relaxed;
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += step)
    relaxed.feed(std::string_view(body).substr(at, step), out);
  relaxed.finish(out);
  return out;
}

TEST(DkimCanonical, Rfc6376Section346) {
  EXPECT_EQ(relaxed_field("A: X\r\n"), "a:X");
  EXPECT_EQ(relaxed_field("B : Y\t\r\n\tZ  \r\n"), "b:Y Z");
  for (std::size_t step = 1; step < 20; ++step)
    EXPECT_EQ(canonical_body(" C \r\nD \t E\r\n\r\n\r\n", step), " C\r\nD E\r\n") << step;
}

TEST(DkimCanonical, EmptyBodiesAndMissingEnds) {
  EXPECT_EQ(canonical_body("", 1), "");
  EXPECT_EQ(canonical_body("\r\n\r\n", 1), "");
  EXPECT_EQ(canonical_body(" \t\r\n", 1), "");
  EXPECT_EQ(canonical_body("a", 1), "a\r\n");
  EXPECT_EQ(canonical_body("a\r\n\r\n\r\nb\r\n", 1), "a\r\n\r\n\r\nb\r\n");
}

constexpr const char* kEd25519Pem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

constexpr const char* kRfc8463Header =
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
constexpr const char* kRfc8463Body = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

// RFC 8463 appendix A: Ed25519 signatures are the same each time, so ours must be the published one.
TEST(DkimKey, MakesTheSignatureOfRfc8463) {
  const auto key = DkimKey::from_pem(kEd25519Pem);
  ASSERT_TRUE(key) << key.error().text();
  EXPECT_EQ(key->record().value(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  const auto fields = parse_header(kRfc8463Header).value();
  std::string input;
  for (const char* name : {"From", "To", "Subject", "Date", "Message-ID"})
    input += relaxed_field(find_field(fields, name)->raw) + "\r\n";
  input += relaxed_field(
      "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
      " d=football.example.com; i=@football.example.com;\r\n"
      " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
      " subject : date : message-id : from : subject : date;\r\n"
      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
      " b=");
  EXPECT_EQ(base64_encode(key->sign(input).value()),
            "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus"
            "Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
}

constexpr const char* kRsaPem =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"
    "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"
    "KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"
    "AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"
    "6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"
    "zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"
    "6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"
    "uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"
    "WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"
    "WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"
    "licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"
    "o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"
    "uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"
    "-----END RSA PRIVATE KEY-----\n";

// RFC 8463 appendix A signs the same message with the RSA key of RFC 6376 appendix C; RSASSA-PKCS1-v1_5 is
// deterministic too.
TEST(DkimKey, MakesTheRsaSignatureOfRfc8463WithTheKeyOfRfc6376) {
  const auto key = DkimKey::from_pem(kRsaPem);
  ASSERT_TRUE(key) << key.error().text();
  EXPECT_EQ(
      key->record().value(),
      "v=DKIM1; k=rsa; p="
      "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/"
      "J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
      "Ip3G+2kryOTIKT+l/K4w3QIDAQAB");
  const auto fields = parse_header(kRfc8463Header).value();
  std::string input;
  for (const char* name : {"From", "To", "Subject", "Date", "Message-ID"})
    input += relaxed_field(find_field(fields, name)->raw) + "\r\n";
  input += relaxed_field(
      "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
      " d=football.example.com; i=@football.example.com;\r\n"
      " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
      " date : message-id : from : subject : date;\r\n"
      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
      " b=");
  EXPECT_EQ(base64_encode(key->sign(input).value()),
            "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3"
            "DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz"
            "dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=");
}

DkimRecordFinding::State compared(std::vector<std::string> txt) {
  return compare_dkim_record(txt, "v=DKIM1; k=rsa; p=AAAABBBB").state;
}

TEST(DkimRecord, AgreesHoweverItIsWritten) {
  using State = DkimRecordFinding::State;
  for (const char* text : {"v=DKIM1; k=rsa; p=AAAABBBB", "v=DKIM1;p=AAAABBBB;", "p=AAAABBBB",
                           "v = DKIM1 ; p = AAAA BBBB ; t=s", "v=DKIM1; h=sha1:sha256; s=email; p=AAAABBBB"})
    EXPECT_EQ(compared({text}), State::good) << text;
  EXPECT_EQ(compared({"v=spf1 -all", "v=DKIM1; p=AAAABBBB"}), State::good);
}

TEST(DkimRecord, SaysWhatIsWrong) {
  using State = DkimRecordFinding::State;
  EXPECT_EQ(compared({}), State::missing);
  EXPECT_EQ(compared({"v=spf1 -all"}), State::missing);
  EXPECT_EQ(compared({"v=DKIM1; p=AAAABBBB", "v=DKIM1; p=CCCC"}), State::several);
  EXPECT_EQ(compared({"v=DKIM1; k=rsa"}), State::malformed);
  EXPECT_EQ(compared({"v=DKIM1; p=AAAABBBB; p=AAAABBBB"}), State::malformed);
  EXPECT_EQ(compared({"p=AAAABBBB; v=DKIM1"}), State::malformed);
  EXPECT_EQ(compared({"v=DKIM1; p="}), State::revoked);
  EXPECT_EQ(compared({"v=DKIM1; p=AAAABBB"}), State::different);
  EXPECT_EQ(compared({"v=DKIM1; k=ed25519; p=AAAABBBB"}), State::different);
  EXPECT_EQ(compared({"v=DKIM1; h=sha1; p=AAAABBBB"}), State::unusable);
  EXPECT_EQ(compared({"v=DKIM1; s=other; p=AAAABBBB"}), State::unusable);
  const auto testing = compare_dkim_record({"v=DKIM1; t=y:s; p=AAAABBBB"}, "v=DKIM1; p=AAAABBBB");
  EXPECT_EQ(testing.state, State::good);
  EXPECT_TRUE(testing.testing);
}

TEST(DkimRecord, BreaksTheGrammarByAVersionOfItsOwnOrAnEmptyTag) {
  const auto odd = compare_dkim_record({"v=DKIM1x; p=AAAABBBB"}, "v=DKIM1; p=AAAABBBB");
  EXPECT_EQ(odd.state, DkimRecordFinding::State::malformed);
  EXPECT_THAT(odd.detail, HasSubstr("v= is DKIM1x"));
  EXPECT_EQ(compared({"v=DKIM1;; p=AAAABBBB"}), DkimRecordFinding::State::malformed);
}

// `dkim check` prints them.
TEST(DkimRecord, StatesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(DkimRecordFinding::State::unusable); ++i)
    EXPECT_TRUE(names.insert(name(static_cast<DkimRecordFinding::State>(i))).second) << i;
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(DkimKey, IsKeptInAFileOfItsOwn) {
  const TemporaryDirectory directory;
  const auto path = dkim_key_path(directory.path(), "one.example", "s1");
  EXPECT_TRUE(DkimKey::load(path).error().is(DkimError::no_key));
  for (const auto algorithm : {DkimAlgorithm::ed25519_sha256, DkimAlgorithm::rsa_sha256}) {
    std::filesystem::remove(path);
    const auto key = DkimKey::generate(algorithm).value();
    ASSERT_TRUE(key.save(path));
    EXPECT_TRUE(key.save(path).error().is(DkimError::exists));
    EXPECT_EQ(std::filesystem::status(path).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const auto loaded = DkimKey::load(path).value();
    EXPECT_EQ(loaded.algorithm(), algorithm);
    EXPECT_EQ(loaded.record().value(), key.record().value());
  }
  const auto files = find_dkim_keys(directory.path());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].domain, "one.example");
  EXPECT_EQ(files[0].selector, "s1");
  std::ofstream(path) << "nonsense";
  EXPECT_TRUE(DkimKey::load(path).error().is(DkimError::bad_key));
}

TEST(DkimKey, WritesZoneLinesInStringsThatFit) {
  const std::string record = "v=DKIM1; k=rsa; p=" + std::string(400, 'A');
  const std::string line = dkim_zone_line("one.example", "s1", record);
  EXPECT_THAT(line, StartsWith("s1._domainkey.one.example. IN TXT ( \"v=DKIM1; k=rsa; p="));
  EXPECT_THAT(line, HasSubstr("A\" \"A"));
}

class DkimSignerTest : public testing::Test {
 protected:
  DkimSignerTest() {
    settings_.sign = DkimSigning::sender_domain;
    settings_.selector = "s1";
    settings_.key_dir = directory_.path();
  }
  void make_key(DkimAlgorithm algorithm) {
    const auto path = dkim_key_path(directory_.path(), "football.example.com", "s1");
    std::filesystem::remove(path);
    const auto key = DkimKey::generate(algorithm).value();
    ASSERT_TRUE(key.save(path));
    record_ = key.record().value();
  }
  std::string sign(const std::string& header, const std::string& body, std::size_t step = 1000) {
    auto signing = signer_->begin(settings_, "football.example.com", kNow).value();
    for (std::size_t at = 0; at < body.size(); at += step)
      signing->body(std::string_view(body).substr(at, step));
    return signing->finish(parse_header(header).value()).value();
  }
  // "verified NAME", by dkimpy.
  std::string verify(const std::string& message) const {
    std::ofstream(directory_.path() / "message", std::ios::binary) << message;
    const std::string command = "/usr/bin/python3 tests/queue/dkim_verify.py '" + record_ + "' < " +
                                (directory_.path() / "message").string();
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return "no pipe";
    char buffer[256];
    const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe);
    ::pclose(pipe);
    return std::string(buffer, got);
  }
  static bool have_dkimpy() {
    return std::system("/usr/bin/python3 -c 'import dkim, nacl' 2>/dev/null") == 0;
  }

  inline static const WallTime kNow{std::chrono::seconds(1'528'637'909)};
  TemporaryDirectory directory_;
  DkimSettings settings_;
  std::unique_ptr<DkimSigner> signer_ = std::make_unique<DkimSigner>();
  std::string record_;
};

TEST_F(DkimSignerTest, NamesWhatItSigned) {
  make_key(DkimAlgorithm::ed25519_sha256);
  const std::string field = sign(kRfc8463Header, kRfc8463Body);
  EXPECT_THAT(
      field,
      StartsWith("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=football.example.com;\r\n"
                 "\ts=s1; t=1528637909;\r\n\th=from:from:to:to:cc:subject:subject:date:date:"));
  EXPECT_THAT(field, HasSubstr("bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;")) << "RFC 8463 appendix A";
  EXPECT_EQ(parse_header(field)->size(), 1u);
  for (std::size_t step = 1; step < 9; ++step) EXPECT_EQ(sign(kRfc8463Header, kRfc8463Body, step), field);
}

TEST_F(DkimSignerTest, DkimpyVerifiesIt) {
  if (!have_dkimpy()) GTEST_SKIP() << "python3-dkim or python3-nacl is missing";
  const std::string header =
      std::string(kRfc8463Header) +
      "TLS-Report-Domain: one.example\r\nSubject: a second\r\n subject,  folded \r\nX: y\r\n";
  for (const auto algorithm : {DkimAlgorithm::ed25519_sha256, DkimAlgorithm::rsa_sha256}) {
    make_key(algorithm);
    signer_ = std::make_unique<DkimSigner>();
    for (const std::string& body : {std::string(kRfc8463Body), std::string(), std::string("\r\n \r\n"),
                                    std::string(" a  b\t\r\n\r\n\r\nc\r\n\r\n\r\n")}) {
      const std::string field = sign(header, body, 3);
      EXPECT_EQ(verify(field + header + "\r\n" + body), "verified s1._domainkey.football.example.com.\n");
      EXPECT_THAT(verify(field + header + "\r\nextra" + body), StartsWith("refused"));
      EXPECT_THAT(verify(field + "From: other@one.example\r\n" + header + "\r\n" + body),
                  StartsWith("refused"));
      EXPECT_THAT(verify(field + "Cc: other@one.example\r\n" + header + "\r\n" + body),
                  StartsWith("refused"));
    }
  }
}

TEST_F(DkimSignerTest, WithoutAKeyThereIsNoSignature) {
  EXPECT_EQ(signer_->begin(settings_, "football.example.com", kNow).value(), nullptr);
  EXPECT_EQ(signer_->begin(settings_, "../../etc", kNow).value(), nullptr);
  EXPECT_EQ(signer_->begin(settings_, "[192.0.2.1]", kNow).value(), nullptr);
}

TEST_F(DkimSignerTest, AKeyIsNoticedWhenItComesAndWhenItChanges) {
  EXPECT_EQ(signer_->begin(settings_, "football.example.com", kNow).value(), nullptr);
  make_key(DkimAlgorithm::ed25519_sha256);
  EXPECT_EQ(signer_->begin(settings_, "football.example.com", kNow + 1s).value(), nullptr);
  EXPECT_NE(signer_->begin(settings_, "football.example.com", kNow + 6s).value(), nullptr);
  const auto path = dkim_key_path(directory_.path(), "football.example.com", "s1");
  std::ofstream(path) << "nonsense";
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() + 1h);
  EXPECT_FALSE(signer_->begin(settings_, "football.example.com", kNow + 20s)) << "a broken key is an error";
}

TEST_F(DkimSignerTest, SignsANotificationWithTheBodyThatItShares) {
  if (!have_dkimpy()) GTEST_SKIP() << "python3-dkim or python3-nacl is missing";
  make_key(DkimAlgorithm::ed25519_sha256);
  FakeClock clock;
  MemoryStore store(clock);
  auto random = make_system_random();
  Accept original;
  original.meta.id = QueueId::make(clock.wall(), *random);
  original.prefix = "Received: x\r\n";
  original.body = store.stage_body();
  ASSERT_TRUE(run(original.body->write("Subject: y\r\n\r\nHello\r\n")));
  original.recipients.push_back({make_mailbox("a", "one.example"), {}});
  original.claim = true;
  Batch batch;
  batch.accept.push_back(std::move(original));
  const auto applied = run(store.apply(std::move(batch))).value();
  const auto meta = applied.accepted.at(0).claims.at(0).meta;

  Accept notification;
  notification.meta.id = QueueId::make(clock.wall(), *random);
  notification.prefix = std::string(kRfc8463Header) + "\r\n--b\r\n\r\n" + "Received: x\r\n";
  notification.body_of = meta->id;
  notification.suffix = "--b--\r\n";
  notification.recipients.push_back({make_mailbox("s", "source.example"), {}});
  auto signed_one = run(sign_notification(store, *signer_, settings_, std::move(notification), meta, kNow));
  ASSERT_TRUE(signed_one) << signed_one.error().text();
  const QueueId id = signed_one->meta.id;
  Batch second;
  second.accept.push_back(std::move(*signed_one));
  ASSERT_TRUE(run(store.apply(std::move(second))));
  EXPECT_THAT(verify(store.content(id).value()), StartsWith("verified"));
}

}  // namespace
}  // namespace holdfast
