// A man in the middle at every byte: whatever he does to the conversation with an enforce domain's MX, no
// byte of envelope or body is seen in clear, nothing bounces, and all arrives once he is gone (invariants 13
// to 16).
#include <set>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

constexpr std::size_t kClearText = 300;  // about where greeting, EHLO reply and the 220 to STARTTLS end
constexpr std::size_t kLastByte = 4000;  // well into the mail transaction

class TamperedWith : public EndToEnd {
 protected:
  TamperedWith() {
    MxSettings settings;
    settings.tls.identity = world_.authority().issue("*.sweep.test");
    world_.add_mx("mx.sweep.test", settings);
  }

  // Another domain under attack: its only MX is a name of the one real host, behind a man in the middle.
  void add(Tampering tampering) {
    tampering.patience = Milliseconds(2000);
    const auto number = std::to_string(boxes_.size());
    const auto domain = "d" + number + ".test";
    boxes_.push_back(&world_.interpose("m" + number + ".sweep.test", "mx.sweep.test", tampering));
    world_.add_domain(domain, {"m" + number + ".sweep.test"});
    world_.publish_policy(domain, "enforce", {"*.sweep.test"});
    recipients_.push_back("bob@" + domain);
  }

  static std::vector<std::size_t> offsets() {
    std::vector<std::size_t> all;
    for (std::size_t at = 0; at < kClearText; at += 7) all.push_back(at);
    for (std::size_t at = kClearText; at < kLastByte; at += 250) all.push_back(at);
    return all;
  }

  void attack_and_check() {
    // Once each while he is there; quick retries afterwards show that nothing was lost.
    start({{"delivery.retry", "[\"3s\"]"}});
    SmtpClient client(relay_->trusted());
    client.command("EHLO client.test");
    for (const auto& to : recipients_) {
      ASSERT_EQ(client.submit("shop@sender.test", {to}, canary_message()).code, 250) << relay_->transcript();
    }
    std::set<std::string> open(recipients_.begin(), recipients_.end());
    const bool all_tried = eventually(
        [&] {
          for (const auto& line : relay_->log()) {
            const auto event = line["event"];
            if (event == "delivered" || event == "deferred") open.erase(line["to"]);
          }
          return open.empty();
        },
        Milliseconds(60000));
    EXPECT_TRUE(all_tried) << open.size() << " of " << recipients_.size() << " were not tried, "
                           << *open.begin();
    for (auto* box : boxes_) box->set({});
    for (const auto& to : recipients_) {
      const auto mail = world_.journal().wait_for_mail_to(to, Milliseconds(60000));
      ASSERT_TRUE(mail) << to << " got lost";
      EXPECT_TRUE(mail->tls.on);
      EXPECT_NE(mail->content.find(kBodyCanary), std::string::npos);
    }
    for (std::size_t i = 0; i < boxes_.size(); ++i) {
      EXPECT_GE(boxes_[i]->connections(), 1u);
      expect_nothing_leaked(boxes_[i]->from_clients(), recipients_[i]);
    }
    EXPECT_TRUE(relay_->log({{"event", "bounced"}}).empty());
    EXPECT_TRUE(relay_->log({{"event", "expired"}}).empty());
  }

  std::vector<Middlebox*> boxes_;
  std::vector<std::string> recipients_;
};

TEST_F(TamperedWith, ByCuttingAtAnyByteLeaksNothingAndLosesNothing) {
  for (const auto at : offsets()) {
    Tampering cut;
    cut.cut_to_client = at;
    add(cut);
  }
  attack_and_check();
}

TEST_F(TamperedWith, ByFlippingABitAtAnyByteLeaksNothingAndLosesNothing) {
  for (const auto at : offsets()) {
    Tampering flip;
    flip.flip_to_client = at;
    add(flip);
    Tampering other;
    other.flip_to_server = at / 8;
    add(other);
  }
  attack_and_check();
}

TEST_F(TamperedWith, ByInjectingRepliesAtAnyByteLeaksNothingAndLosesNothing) {
  for (const auto at : offsets()) {
    for (const char* reply : {"250 2.0.0 fine\r\n", "554 5.7.1 go away\r\n"}) {
      Tampering inject;
      inject.injections = {{Tampering::Way::to_client, at, reply}};
      add(inject);
    }
  }
  attack_and_check();
}

}  // namespace
}  // namespace holdfast::world
