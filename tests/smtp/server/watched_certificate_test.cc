#include "smtp/server/watched_certificate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"

namespace holdfast {
namespace {

class WatchedCertificateTest : public testing::Test {
 protected:
  WatchedCertificateTest() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("holdfast-cert-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
    settings_.hostname = "relay.example.com";
    settings_.data_dir = directory_ / "data";
    settings_.tls.certificate = directory_ / "cert.pem";
    settings_.tls.private_key = directory_ / "key.pem";
    settings_.tls.min_version = "1.2";
    settings_.tls.if_missing = IfMissing::fail;
  }
  ~WatchedCertificateTest() override { std::filesystem::remove_all(directory_); }

  void write(const SelfSigned& pair) {
    put("cert.pem", pair.certificate_pem);
    put("key.pem", pair.private_key_pem);
  }
  void put(const char* name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    // Each write gets a time of its own, as it would have outside of a test.
    written_ += std::chrono::seconds(1);
    std::filesystem::last_write_time(directory_ / name, written_);
  }
  // As chown and chmod do: what can be read changes, but neither size nor time of the file tell.
  void put_unnoticed(const char* name, const std::string& text) {
    ASSERT_EQ(std::filesystem::file_size(directory_ / name), text.size());
    const auto time = std::filesystem::last_write_time(directory_ / name);
    std::ofstream(directory_ / name) << text;
    std::filesystem::last_write_time(directory_ / name, time);
  }
  static SelfSigned pair() {
    return *make_self_signed("relay.example.com", std::chrono::sys_days(std::chrono::year(2026) / 1 / 1));
  }

  Result<std::unique_ptr<WatchedCertificate>> open() {
    return WatchedCertificate::open(std::make_shared<const Settings>(settings_), clock_, log_, metrics_);
  }

  std::filesystem::path directory_;
  std::filesystem::file_time_type written_ = std::filesystem::file_time_type::clock::now();
  Settings settings_;
  FakeClock clock_;
  CapturingLog log_;
  CapturingMetrics metrics_;
};

TEST_F(WatchedCertificateTest, LoadsItsFiles) {
  write(pair());
  auto certificate = open();
  ASSERT_TRUE(certificate) << certificate.error().text();
  EXPECT_NE((*certificate)->current(), nullptr);
  EXPECT_GT(metrics_.gauge("certificate_expiry_timestamp_seconds"), 2e9);
}

TEST_F(WatchedCertificateTest, TakesANewPairWithoutARestart) {
  write(pair());
  auto certificate = *open();
  const auto before = certificate->current();
  certificate->look();
  EXPECT_EQ(certificate->current(), before);
  write(pair());
  certificate->look();
  EXPECT_NE(certificate->current(), before);
  ASSERT_EQ(log_.events("cert_reloaded").size(), 1U);
  EXPECT_NE(log_.events("cert_reloaded")[0].fields.find("\"result\":\"ok\""), std::string::npos);
}

TEST_F(WatchedCertificateTest, KeepsTheOldPairWhenTheNewIsBad) {
  write(pair());
  auto certificate = *open();
  const auto before = certificate->current();
  put("key.pem", pair().private_key_pem);  // of another certificate
  certificate->look();
  EXPECT_EQ(certificate->current(), before);
  EXPECT_EQ(metrics_.count("certificate_reload_failures_total"), 1U);
  certificate->look();
  EXPECT_EQ(metrics_.count("certificate_reload_failures_total"), 1U);
  std::filesystem::remove(directory_ / "cert.pem");
  certificate->look();
  EXPECT_EQ(certificate->current(), before);
  write(pair());
  certificate->look();
  EXPECT_NE(certificate->current(), before);
}

TEST_F(WatchedCertificateTest, TriesAgainWhatItCouldNotLoadAndTellsItOnce) {
  write(pair());
  auto certificate = *open();
  const auto before = certificate->current();
  const SelfSigned next = pair();
  put("cert.pem", next.certificate_pem);
  put("key.pem", std::string(next.private_key_pem.size(), 'x'));
  for (int i = 0; i < 3; ++i) certificate->look();
  EXPECT_EQ(certificate->current(), before);
  EXPECT_EQ(log_.events("cert_reloaded").size(), 1U);
  EXPECT_EQ(metrics_.count("certificate_reload_failures_total"), 1U);
  put_unnoticed("key.pem", next.private_key_pem);
  certificate->look();
  EXPECT_NE(certificate->current(), before);
  const auto events = log_.events("cert_reloaded");
  ASSERT_EQ(events.size(), 2U);
  EXPECT_NE(events[1].fields.find("\"result\":\"ok\""), std::string::npos);
}

TEST_F(WatchedCertificateTest, TellsAgainWhatFailsInAnotherWay) {
  write(pair());
  auto certificate = *open();
  const SelfSigned next = pair();
  put("cert.pem", next.certificate_pem);  // the key is still the old one's
  certificate->look();
  put_unnoticed("key.pem", std::string(std::filesystem::file_size(directory_ / "key.pem"), 'x'));
  certificate->look();
  certificate->look();
  EXPECT_EQ(log_.events("cert_reloaded").size(), 2U);
}

TEST_F(WatchedCertificateTest, AReloadLooksAfreshWhateverTheFilesTimesSay) {
  write(pair());
  auto certificate = *open();
  const auto before = certificate->current();
  const auto same = std::make_shared<const Settings>(settings_);
  put_unnoticed("key.pem", std::string(std::filesystem::file_size(directory_ / "key.pem"), 'x'));
  certificate->look();
  EXPECT_EQ(log_.events("cert_reloaded").size(), 0U);
  certificate->reload(same);
  certificate->reload(same);  // the operator asks, and is told each time
  EXPECT_EQ(certificate->current(), before);
  EXPECT_EQ(log_.events("cert_reloaded").size(), 2U);
  std::filesystem::remove(directory_ / "key.pem");
  certificate->look();  // as when it is being replaced
  EXPECT_EQ(log_.events("cert_reloaded").size(), 2U);
  certificate->reload(same);
  EXPECT_EQ(log_.events("cert_reloaded").size(), 3U);
  write(pair());
  certificate->reload(same);
  EXPECT_NE(certificate->current(), before);
}

TEST_F(WatchedCertificateTest, RefusesToStartWithABadOrMissingPair) {
  EXPECT_FALSE(open());
  put("cert.pem", "rubbish");
  put("key.pem", "rubbish");
  EXPECT_FALSE(open());
  settings_.tls.if_missing = IfMissing::self_signed;
  EXPECT_FALSE(open());  // it is not missing, it is bad
}

TEST_F(WatchedCertificateTest, MakesItsOwnWhereNoneIsThereAndKeepsIt) {
  settings_.tls.if_missing = IfMissing::self_signed;
  settings_.tls.certificate.clear();
  settings_.tls.private_key.clear();
  ASSERT_TRUE(open());
  EXPECT_TRUE(log_.holds("self-signed"));
  const auto key = settings_.data_dir / "tls" / "self-signed.key";
  ASSERT_TRUE(std::filesystem::exists(key));
  EXPECT_EQ(std::filesystem::status(key).permissions() & std::filesystem::perms::mask,
            std::filesystem::perms(0600));
  const auto made = std::filesystem::last_write_time(key);
  ASSERT_TRUE(open());
  EXPECT_EQ(std::filesystem::last_write_time(key), made);
}

TEST_F(WatchedCertificateTest, ReplacesItsOwnOnceTheRealOneComes) {
  settings_.tls.if_missing = IfMissing::self_signed;
  auto certificate = *open();
  const auto own = certificate->current();
  ASSERT_NE(own, nullptr);
  write(pair());
  certificate->look();
  EXPECT_NE(certificate->current(), own);
}

TEST_F(WatchedCertificateTest, AReloadBeforeTheFirstCertificateIsNoFailure) {
  settings_.tls.if_missing = IfMissing::self_signed;
  auto certificate = *open();
  const auto own = certificate->current();
  certificate->reload(std::make_shared<const Settings>(settings_));
  EXPECT_EQ(certificate->current(), own);
  EXPECT_EQ(metrics_.count("certificate_reload_failures_total"), 0U);
  EXPECT_TRUE(log_.events("cert_reloaded").empty());
  Settings moved = settings_;
  moved.tls.certificate = directory_ / "elsewhere.pem";
  certificate->reload(std::make_shared<const Settings>(moved));
  EXPECT_EQ(metrics_.count("certificate_reload_failures_total"), 1U) << "another path is not what was there";
  write(pair());
  certificate->reload(std::make_shared<const Settings>(settings_));
  EXPECT_NE(certificate->current(), own);
  std::filesystem::remove(directory_ / "cert.pem");
  certificate->reload(std::make_shared<const Settings>(settings_));
  EXPECT_EQ(metrics_.count("certificate_reload_failures_total"), 2U) << "what was shown is gone";
}

TEST_F(WatchedCertificateTest, FollowsANewConfiguration) {
  write(pair());
  auto certificate = *open();
  const auto before = certificate->current();
  Settings changed = settings_;
  changed.tls.min_version = "1.3";
  certificate->reload(std::make_shared<const Settings>(changed));
  EXPECT_NE(certificate->current(), before);
}

}  // namespace
}  // namespace holdfast
