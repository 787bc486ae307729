// The operator's hands on the running relay: what waits and why, giving up, tracing, exporting, trying out,
// keys and DNS.
#include <algorithm>
#include <fstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

// The zone's data out of a line of `dkim txt`: its strings joined.
std::string record_of(const std::string& line) {
  std::string out;
  bool inside = false;
  for (const char c : line) {
    if (c == '"') {
      inside = !inside;
    } else if (inside) {
      out += c;
    }
  }
  return out;
}

class Operator : public EndToEnd {
 protected:
  std::string id_of(const std::string& recipient) {
    for (const auto& line : relay_->run_json({"trace", "--to", recipient}))
      if (line["to"] == recipient) return line["msg"];
    return "";
  }
  // Publishes what `dkim txt` says.
  void publish_key(const std::string& domain, const std::string& selector) {
    const auto text = relay_->run({"dkim", "txt", domain, "--selector", selector});
    ASSERT_EQ(text.code, 0) << text.err;
    const std::string record = record_of(text.out);
    std::vector<std::string> strings;
    for (std::size_t at = 0; at < record.size(); at += 255) strings.push_back(record.substr(at, 255));
    world_.dns().add_txt(selector + "._domainkey." + domain, strings);
  }
  void change_config(const std::string& from, const std::string& to) {
    std::ifstream in(relay_->config_file());
    std::string text(std::istreambuf_iterator<char>(in), {});
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
    std::ofstream(relay_->config_file()) << text;
  }
};

TEST_F(Operator, SumsUpTheQueueAndGivesUpWithANotification) {
  auto& mx = world_.add_simple_domain("busy.test");
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 come back later"));
  world_.add_simple_domain("down.test").stop_listening();
  start({{"delivery.retry", "[\"1h\"]"}});
  submit({"a@busy.test", "b@busy.test"});
  submit({"c@down.test"});
  for (const char* to : {"a@busy.test", "b@busy.test", "c@down.test"})
    ASSERT_TRUE(wait_for_listed(to, "deferred")) << to;

  const auto by_domain = relay_->run_json({"queue", "summary"});
  ASSERT_EQ(by_domain.size(), 2u);
  EXPECT_EQ(by_domain[0]["key"], "busy.test");
  EXPECT_EQ(by_domain[0]["recipients"], "2");
  EXPECT_EQ(by_domain[0]["messages"], "1");
  const auto by_error = relay_->run_json({"queue", "summary", "--by", "error", "--domain", "busy.test"});
  ASSERT_EQ(by_error.size(), 1u);
  EXPECT_NE(by_error[0]["key"].find("450 4.2.0 come back later"), std::string::npos) << by_error[0].text();
  EXPECT_EQ(relay_->run_json({"queue", "summary", "--by", "state"}).at(0)["key"], "deferred");

  const auto counted =
      relay_->run({"queue", "bounce", "--error", "COME BACK", "--reason", "they are gone for good"});
  EXPECT_EQ(counted.code, 1);
  EXPECT_NE(counted.err.find("2 recipients match; repeat with --yes to bounce them"), std::string::npos)
      << counted.err;
  EXPECT_TRUE(world_.journal().mails().empty());
  const auto done =
      relay_->run({"queue", "bounce", "--error", "COME BACK", "--reason", "they are gone for good", "--yes"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, "bounce: 2 recipients\n");

  const auto bounce = world_.journal().wait_for_mail_to("shop@sender.test");
  ASSERT_TRUE(bounce) << relay_->transcript();
  EXPECT_EQ(bounce->reverse_path, "");
  for (const char* part : {"message/delivery-status", "a@busy.test", "b@busy.test", "Action: failed",
                           "Status: 5.0.0", "they are gone for good", "come back later", kSubjectCanary})
    EXPECT_NE(bounce->content.find(part), std::string::npos) << part << " is missing in\n" << bounce->content;
  EXPECT_EQ(bounce->content.find("c@down.test"), std::string::npos);
  const auto line = wait_for_end("a@busy.test", "bounced");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["stage"], "operator");
  EXPECT_TRUE(relay_->wait_for_log({{"event", "admin"}, {"change", "bounce"}, {"recipients", "2"}}));
  EXPECT_TRUE(eventually([&] {
    return relay_->run_json({"queue", "list"}).size() == 1;
  })) << "the notification leaves, down.test's message stays";
}

TEST_F(Operator, HoldsReleasesRetriesAndRemovesByFilter) {
  auto& mx = world_.add_simple_domain("busy.test");
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 come back later"), "", 2);
  start({{"delivery.retry", "[\"1h\"]"}});
  submit({"a@busy.test"});
  submit({"b@busy.test"});
  ASSERT_TRUE(wait_for_listed("a@busy.test", "deferred"));
  ASSERT_TRUE(wait_for_listed("b@busy.test", "deferred"));
  EXPECT_EQ(relay_->run({"queue", "hold", "--user", "ap", "--yes"}).code, 1)
      << "a part of a name is not the name";
  EXPECT_EQ(relay_->run({"queue", "hold", "--user", "app", "--to", "a@", "--yes"}).out,
            "hold: 1 recipient\n");
  EXPECT_EQ(relay_->run({"queue", "retry", "--all", "--yes"}).out, "retry: 1 recipient\n");
  EXPECT_TRUE(world_.journal().wait_for_mail_to("b@busy.test")) << relay_->transcript();
  EXPECT_EQ(relay_->run({"queue", "release", "--domain", "BUSY.test", "--yes"}).code, 0);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("a@busy.test")) << relay_->transcript();
  EXPECT_TRUE(queue_is_empty());
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 come back later"), "", 1);
  submit({"c@busy.test"});
  ASSERT_TRUE(wait_for_listed("c@busy.test", "deferred"));
  EXPECT_EQ(relay_->run({"queue", "remove", "--newer", "1h", "--yes"}).out, "remove: 1 recipient\n");
  EXPECT_TRUE(queue_is_empty());
  const auto trace = relay_->run({"trace", id_of("a@busy.test")});
  for (const char* part : {"accepted", "deferred", "held", "released", "delivered", "by the operator"})
    EXPECT_NE(trace.out.find(part), std::string::npos) << part << " is missing in\n" << trace.out;
}

TEST_F(Operator, TracesAttemptsWithTheirTranscriptAndCertificates) {
  MxSettings settings;
  settings.tls.identity = world_.authority().issue("elsewhere.test");
  auto& mx = world_.add_simple_domain("wrongcert.test", settings);
  world_.publish_policy("wrongcert.test", "enforce", {"mx.wrongcert.test"});
  auto& busy = world_.add_simple_domain("busy.test");
  busy.on(Stage::rcpt, Reaction::reply("450 4.2.0 greylisted today"), "", 1);
  start({{"delivery.retry", "[\"2s\"]"}});
  submit({"bob@wrongcert.test"});
  submit({"bob@busy.test"});
  ASSERT_TRUE(wait_for_end("bob@wrongcert.test", "deferred"));
  ASSERT_TRUE(wait_for_end("bob@busy.test", "delivered"));

  // Between two attempts: while one is under way the state is `active`.
  ProcessEnd refused;
  const auto waiting = id_of("bob@wrongcert.test");
  EXPECT_TRUE(eventually([&] {
    refused = relay_->run({"trace", waiting});
    return refused.out.find("to bob@wrongcert.test  deferred") != std::string::npos;
  })) << refused.out
      << refused.err;
  for (const char* part : {"from shop@sender.test, user app", "to bob@wrongcert.test  deferred", "accepted",
                           "mx.wrongcert.test [127.", "TLS failed, policy sts (enforce)",
                           "certificate-host-mismatch", "certificate: ", "elsewhere.test", "Test World Root",
                           "| S: 220", "| C: EHLO relay.test", "| C: STARTTLS"})
    EXPECT_NE(refused.out.find(part), std::string::npos) << part << " is missing in\n" << refused.out;

  const auto id = id_of("bob@busy.test");
  const auto greylisted = relay_->run({"trace", "--message", id});
  for (const char* part : {"| C: RCPT TO:<bob@busy.test>", "| S: 450 4.2.0 greylisted today", "deferred",
                           "delivered", "TLSv1.3 TLS_"})
    EXPECT_NE(greylisted.out.find(part), std::string::npos) << part << " is missing in\n" << greylisted.out;
  for (const auto& text : {refused.out, greylisted.out})
    for (const char* secret : {kBodyCanary, kSubjectCanary, Relay::kPassword})
      EXPECT_EQ(text.find(secret), std::string::npos) << text;

  // What has ended is found by sender, recipient, domain, user and by an error of earlier.
  for (const std::vector<std::string>& filter :
       std::vector<std::vector<std::string>>{{"--error", "greylisted"},
                                             {"--domain", "busy.test"},
                                             {"--to", "bob@busy"},
                                             {"--state", "delivered"}}) {
    std::vector<std::string> words{"trace"};
    words.insert(words.end(), filter.begin(), filter.end());
    const auto found = relay_->run_json(words);
    ASSERT_EQ(found.size(), 1u) << filter[0];
    EXPECT_EQ(found[0]["msg"], id);
    EXPECT_EQ(found[0]["state"], "delivered");
  }
  EXPECT_EQ(relay_->run_json({"trace", "--from", "shop@sender.test", "--user", "app"}).size(), 2u);
  EXPECT_EQ(relay_->run({"trace", "--from", "nobody@"}).code, 1);
  // After a restart it is still known.
  ASSERT_EQ(relay_->terminate(), 0);
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  EXPECT_NE(relay_->run({"trace", id}).out.find("greylisted today"), std::string::npos);
  (void)mx;
}

TEST_F(Operator, ExportsMessagesWithTheirEnvelopes) {
  auto& mx = world_.add_simple_domain("busy.test");
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 come back later"));
  start({{"delivery.retry", "[\"1h\"]"}});
  std::string large = "From: shop@sender.test\r\nSubject: large\r\n\r\n";
  for (int i = 0; i < 40000; ++i)
    large += "line " + std::to_string(i) + " of a message in a file of its own\r\n";
  submit({"a@busy.test", "b@busy.test"});
  submit({"c@busy.test"}, large);
  ASSERT_TRUE(wait_for_listed("a@busy.test", "deferred"));
  ASSERT_TRUE(wait_for_listed("c@busy.test", "deferred"));
  const auto archive = world_.folder() / "queue.tar";
  const auto exported = relay_->run({"queue", "export", "--output", archive.string()});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_NE(exported.err.find("exported 2 messages"), std::string::npos) << exported.err;
  const auto body = world_.folder() / "large.eml";
  std::ofstream(body, std::ios::binary) << large;
  const auto read = run_process({"/usr/bin/python3", "-c", R"(
import json, sys, tarfile
archive = tarfile.open(sys.argv[1])
names = sorted(archive.getnames())
assert len(names) == 4, names
envelopes = {n[:-5]: json.load(archive.extractfile(n)) for n in names if n.endswith('.json')}
contents = {n[:-4]: archive.extractfile(n).read() for n in names if n.endswith('.eml')}
assert sorted(sorted(r['to'] for r in e['recipients']) for e in envelopes.values()) == [
    ['a@busy.test', 'b@busy.test'], ['c@busy.test']], envelopes
for name, envelope in envelopes.items():
    assert envelope['from'] == 'shop@sender.test' and envelope['user'] == 'app', envelope
    content = contents[name]
    assert content.startswith(b'Received: '), content[:80]
    assert len(content) == envelope['size'], (len(content), envelope['size'])
    if envelope['recipients'][0]['to'] == 'c@busy.test':
        assert content.endswith(open(sys.argv[2], 'rb').read().split(b'\r\n\r\n', 1)[1]), len(content)
    else:
        assert b'body-canary-7f3a' in content
)",
                                 archive.string(), body.string()});
  EXPECT_EQ(read.code, 0) << read.err;
  const auto one = relay_->run(
      {"queue", "export", "--to", "c@busy.test", "--output", (world_.folder() / "one.tar").string()});
  EXPECT_NE(one.err.find("exported 1 message\n"), std::string::npos) << one.err;
  EXPECT_EQ(relay_->run_json({"queue", "list"}).size(), 3u) << "an export takes nothing out of the queue";
}

TEST_F(Operator, SendsATestMessageAndFollowsIt) {
  world_.add_simple_domain("plain.test");
  auto& mx = world_.add_simple_domain("refusing.test");
  mx.on(Stage::rcpt, Reaction::reply("550 5.1.1 nobody of that name"), "<ghost@");
  world_.add_simple_domain("down.test").stop_listening();
  start({{"delivery.retry", "[\"1h\"]"}, {"postmaster", "\"postmaster@sender.test\""}});
  const auto good = relay_->run({"send-test", "bob@plain.test", "--wait"});
  EXPECT_EQ(good.code, 0) << good.err << relay_->transcript();
  EXPECT_NE(good.out.find("delivered  bob@plain.test"), std::string::npos) << good.out;
  const auto mail = world_.journal().wait_for_mail_to("bob@plain.test");
  ASSERT_TRUE(mail);
  EXPECT_EQ(mail->reverse_path, "postmaster@sender.test");
  EXPECT_NE(mail->content.find("Subject: Test message from relay.test"), std::string::npos) << mail->content;
  EXPECT_EQ(relay_->run({"send-test", "ghost@refusing.test", "--wait"}).code, 1);
  EXPECT_EQ(relay_->run({"send-test", "bob@down.test", "--wait", "--timeout", "1"}).code, 75);
  EXPECT_EQ(relay_->run({"send-test", "nonsense"}).code, 64);
  const auto queued = relay_->run_json({"send-test", "carl@plain.test"});
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("carl@plain.test"));
}

TEST_F(Operator, RotatesASigningKeyBySelector) {
  world_.add_simple_domain("plain.test");
  start({{"dkim.sign", "\"sender-domain\""}, {"dkim.selector", "\"s1\""}, {"tlsrpt.enabled", "false"}});
  ASSERT_EQ(relay_->run({"dkim", "keygen", "sender.test"}).code, 0);
  const auto missing = relay_->run({"dkim", "check"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("s1._domainkey.sender.test. IN TXT"), std::string::npos) << missing.err;
  publish_key("sender.test", "s1");
  const auto published = relay_->run({"dkim", "check"});
  EXPECT_EQ(published.code, 0) << published.out << published.err;

  const auto next = relay_->run({"dkim", "keygen", "--selector", "s2", "--algorithm", "ed25519"});
  ASSERT_EQ(next.code, 0) << next.err;
  EXPECT_EQ(relay_->run({"dkim", "check", "--selector", "s2"}).code, 1);
  EXPECT_EQ(relay_->run({"dkim", "check"}).code, 0) << "a key that waits for its turn is a warning";
  publish_key("sender.test", "s2");
  EXPECT_EQ(relay_->run({"dkim", "check", "--selector", "s2"}).code, 0);
  submit({"before@plain.test"});
  const auto before = world_.journal().wait_for_mail_to("before@plain.test");
  ASSERT_TRUE(before) << relay_->transcript();
  EXPECT_NE(before->content.find("a=rsa-sha256; c=relaxed/relaxed; d=sender.test;\r\n\ts=s1;"),
            std::string::npos)
      << before->content;

  change_config("selector = \"s1\"", "selector = \"s2\"");
  ASSERT_EQ(relay_->run({"reload"}).code, 0);
  submit({"after@plain.test"});
  const auto after = world_.journal().wait_for_mail_to("after@plain.test");
  ASSERT_TRUE(after) << relay_->transcript();
  EXPECT_NE(after->content.find("a=ed25519-sha256; c=relaxed/relaxed; d=sender.test;\r\n\ts=s2;"),
            std::string::npos)
      << after->content;

  world_.dns().remove("s2._domainkey.sender.test", "TXT");
  world_.dns().add_txt("s2._domainkey.sender.test", {"v=DKIM1; k=ed25519; p=AAAA"});
  std::optional<ProcessEnd> wrong;
  EXPECT_TRUE(eventually([&] {
    wrong = relay_->run({"dkim", "check", "sender.test"});
    return wrong->code == 1;
  })) << wrong->out;
  EXPECT_NE(wrong->out.find("different"), std::string::npos) << wrong->out;
}

TEST_F(Operator, ChecksTheRelaysOwnRecords) {
  start({{"dkim.sign", "\"sender-domain\""}, {"tlsrpt.contact", "\"postmaster@sender.test\""}});
  // The reporter may have made it already, for the reports.
  const auto made = relay_->run({"dkim", "keygen", "sender.test"});
  ASSERT_TRUE(made.code == 0 || made.code == 1) << made.err;
  const auto bare = relay_->run({"dns", "check", "--address", "203.0.113.7"});
  EXPECT_EQ(bare.code, 1);
  for (const char* part :
       {"relay.test. IN A 203.0.113.7", "7.113.0.203.in-addr.arpa. IN PTR relay.test.",
        "sender.test. IN TXT \"v=spf1 a:relay.test -all\"", "holdfast._domainkey.sender.test. IN TXT",
        "_smtp._tls.sender.test. IN TXT \"v=TLSRPTv1; rua=mailto:postmaster@sender.test\""})
    EXPECT_NE(bare.err.find(part), std::string::npos) << part << " is missing in\n" << bare.err;

  world_.dns().add("relay.test", "A", "203.0.113.7");
  world_.dns().add("7.113.0.203.in-addr.arpa", "PTR", "relay.test");
  world_.dns().add_txt("relay.test", {"v=spf1 a -all"});
  world_.dns().add_txt("sender.test", {"v=spf1 a:relay.test -all"});
  publish_key("sender.test", "holdfast");
  world_.publish_tlsrpt("sender.test", "mailto:postmaster@sender.test");
  world_.publish_policy("sender.test", "enforce", {"mx.sender.test"}, "1", 604800);
  std::optional<ProcessEnd> sound;
  EXPECT_TRUE(eventually([&] {
    sound = relay_->run({"dns", "check"});
    return sound->code == 0;
  })) << sound->out
      << sound->err;
  EXPECT_EQ(sound->out.find("error"), std::string::npos) << sound->out;
  for (const auto& line : relay_->run_json({"dns", "check"}))
    EXPECT_NE(line["severity"], "error") << line.text();

  world_.dns().set_fault("_smtp._tls.sender.test", "TXT", DnsFault::servfail);
  EXPECT_TRUE(eventually([&] {
    sound = relay_->run({"dns", "check"});
    return sound->code == 75;
  })) << sound->out
      << sound->err;
}

}  // namespace
}  // namespace holdfast::world
