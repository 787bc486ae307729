// The command line: the queue's commands, `trace` and `send-test`, with a relay that answers as told.
#include <gmock/gmock.h>

#include "tests/mta/cli_fixture.h"
#include "tests/mta/fake_relay.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(Cli, QueueListIsTabSeparatedWhenPiped) {
  const FakeRelay relay(socket(), [](const std::string&) {
    return "200 "
           "{\"schema\":1,\"msg\":\"01A\",\"from\":\"a@b.example\",\"to\":\"c@d.example\",\"state\":"
           "\"deferred\","
           "\"attempts\":2,\"next\":\"2026-11-21T22:00:00Z\",\"reason\":\"450 \\u001b[2J\\ttry\\nlater\"}\n";
  });
  const Ran ran = run({"queue", "list", "--to", "c@d.example", "--state", "deferred", "--limit", "5"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "01A\tdeferred\t2\t2026-11-21T22:00:00Z\ta@b.example\tc@d.example\t450 ?[2J?try?later\n");
  EXPECT_THAT(relay.asked(), ElementsAre("GET /v1/queue?to=c%40d.example&state=deferred&limit=5"));
}

TEST_F(Cli, JsonLinesComeVerbatim) {
  const std::string lines = "{\"schema\":1,\"msg\":\"01A\"}\n{\"schema\":1,\"msg\":\"01B\"}\n";
  const FakeRelay relay(socket(), [&](const std::string&) { return "200 " + lines; });
  EXPECT_EQ(run({"queue", "list", "--json"}).out, lines);
  EXPECT_EQ(run({"sts", "show", "--json"}).out, lines);
  EXPECT_EQ(run({"tlsrpt", "preview", "--day", "2026-11-20", "--domain", "d.example", "--json"}).out, lines);
  EXPECT_THAT(relay.asked().back(), "GET /v1/tlsrpt/preview?day=2026-11-20&domain=d.example");
}

TEST_F(Cli, AnEmptyQueueIsAYes) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 "; });
  EXPECT_EQ(run({"queue", "list"}).code, 0);
  EXPECT_EQ(run({"queue", "list"}).out, "");
}

TEST_F(Cli, QueueShowPrintsTheMessageOrSaysNo) {
  const FakeRelay relay(socket(), [](const std::string& line) {
    return line == "GET /v1/messages/01A"
               ? "200 {\"schema\":1,\"msg\":\"01A\",\"recipients\":[{\"to\":\"c@d.example\"}]}"
               : "404 {\"schema\":1,\"error\":\"no message 01B is queued or remembered\"}";
  });
  EXPECT_EQ(run({"queue", "show", "01A"}).out, "msg: 01A\nrecipients[0].to: c@d.example\n");
  const Ran none = run({"queue", "show", "01B"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("no message 01B is queued or remembered"));
}

TEST_F(Cli, BulkChangesCountFirstAndWantAYes) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 {\"schema\":1,\"count\":3}\n"; });
  const Ran asked = run({"queue", "hold", "--to", "d.example"});
  EXPECT_EQ(asked.code, 1);
  EXPECT_THAT(asked.err, HasSubstr("3 recipients match; repeat with --yes to hold them"));
  EXPECT_THAT(relay.asked(), ElementsAre("POST /v1/queue/hold?to=d.example&dry=1"));
  const Ran done = run({"queue", "hold", "--to", "d.example", "--yes"});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.out, "hold: 3 recipients\n");
  EXPECT_EQ(relay.asked().back(), "POST /v1/queue/hold?to=d.example");
}

TEST_F(Cli, AChangeOfIdsAsksForEachAndOneOfNothingIsANo) {
  const FakeRelay relay(socket(), [](const std::string& line) {
    return line.find("01C") != std::string::npos ? "200 {\"count\":0}" : "200 {\"count\":1}";
  });
  EXPECT_EQ(run({"queue", "remove", "01A", "01B", "--yes"}).out, "remove: 2 recipients\n");
  EXPECT_EQ(run({"queue", "remove", "01C", "--yes"}).code, 1);
}

TEST_F(Cli, ABounceTellsWhatWasLeftAlone) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 {\"count\":2,\"active\":1}"; });
  const Ran ran = run({"queue", "bounce", "--domain", "d.example", "--reason", "closed", "--yes"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "bounce: 2 recipients\n");
  EXPECT_THAT(ran.err, HasSubstr("1 recipient was being tried"));
  EXPECT_THAT(relay.asked(), ElementsAre("POST /v1/queue/bounce?domain=d.example&dry=1&reason=closed",
                                         "POST /v1/queue/bounce?domain=d.example&reason=closed"));
  EXPECT_EQ(run({"queue", "bounce", "--all", "--yes", "--json"}).out,
            "{\"schema\":1,\"change\":\"bounce\",\"count\":2,\"active\":1}\n");
}

TEST_F(Cli, WhatIsBeingTriedCanOnlyBeBouncedLater) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 {\"count\":0,\"active\":3}"; });
  EXPECT_EQ(run({"queue", "bounce", "--all", "--yes"}).code, 75);
}

TEST_F(Cli, QueueSummaryNamesItsColumnByWhatItCounts) {
  const FakeRelay relay(socket(), [](const std::string&) {
    return "200 {\"schema\":1,\"by\":\"error\",\"key\":\"450 later\",\"recipients\":3,\"messages\":2,"
           "\"bytes\":10,\"oldest\":\"2026-11-21T22:00:00Z\"}\n";
  });
  EXPECT_EQ(run({"queue", "summary", "--by", "error", "--newer", "2h"}).out,
            "3\t2\t10\t2026-11-21T22:00:00Z\t450 later\n");
  EXPECT_EQ(relay.asked().back(), "GET /v1/queue/summary?newer=2h&by=error");
}

TEST_F(Cli, ExportWritesATarThatTarReads) {
  if (!std::filesystem::exists("/bin/tar")) GTEST_SKIP() << "tar is missing";
  const std::string content = "Subject: x\r\n\r\n" + std::string(1000, 'b') + "\r\n";
  const FakeRelay relay(socket(), [&](const std::string& line) -> std::string {
    if (line.starts_with("GET /v1/queue")) {
      return "200 {\"msg\":\"01JD0000000000000000000000\",\"to\":\"a@b.example\"}\n"
             "{\"msg\":\"01JD0000000000000000000000\",\"to\":\"c@b.example\"}\n"
             "{\"msg\":\"01JD0000000000000000000001\",\"to\":\"a@b.example\"}\n"
             "{\"msg\":\"01JD0000000000000000000002\",\"to\":\"a@b.example\"}\n";
    }
    if (line.ends_with("2/content")) return "503 {\"error\":\"wrong checksum\"}";
    if (line.ends_with("1")) return "404 {\"error\":\"gone\"}";
    return "200 " + (line.ends_with("/content") ? content : std::string("{\"from\":\"me\"}\n"));
  });
  const auto archive = dir_.path() / "queue.tar";
  const Ran ran = run({"queue", "export", "--user", "app", "--output", archive.string()});
  EXPECT_EQ(ran.code, 65) << "one was damaged";
  EXPECT_THAT(ran.err, HasSubstr("the content of 01JD0000000000000000000002 cannot be read"));
  EXPECT_THAT(ran.err, HasSubstr("exported 1 message\n"));
  EXPECT_EQ(relay.asked().front(), "GET /v1/queue?user=app");
  const Ran listed = run_holdfast(dir_.path(), {"tf", archive.string()}, "", {}, "/bin/tar");
  EXPECT_EQ(listed.code, 0) << listed.err;
  EXPECT_EQ(
      listed.out,
      "holdfast-queue/01JD0000000000000000000000.json\nholdfast-queue/01JD0000000000000000000000.eml\n");
  const Ran one =
      run_holdfast(dir_.path(), {"xOf", archive.string(), "holdfast-queue/01JD0000000000000000000000.eml"},
                   "", {}, "/bin/tar");
  EXPECT_EQ(one.out, content);
  EXPECT_EQ(run({"queue", "export", "--output", archive.string()}).code, 75) << "nothing is overwritten";
}

TEST_F(Cli, TraceListsOrTellsTheTimeline) {
  const FakeRelay relay(socket(), [](const std::string& line) -> std::string {
    if (line.starts_with("GET /v1/history")) {
      return line.find("nobody") != std::string::npos
                 ? "200 "
                 : "200 {\"msg\":\"01A\",\"accepted\":\"T\",\"state\":\"bounced\",\"attempts\":1,"
                   "\"from\":\"a@b\",\"to\":\"c@d\",\"reason\":\"550 no\"}\n";
    }
    return "200 {\"msg\":\"01A\",\"from\":\"a@b\",\"size\":7,\"accepted\":\"T0\",\"origin\":\"submission\","
           "\"recipients\":[{\"to\":\"c@d\",\"state\":\"bounced\",\"attempts\":1,\"reason\":\"550 no\"}],"
           "\"history\":[{\"at\":\"T1\",\"event\":\"attempt\",\"detail\":{\"mx\":\"mx.d\",\"ip\":\"192.0.2."
           "1\","
           "\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":\"X\",\"policy\":\"sts\",\"mode\":\"enforce\","
           "\"result\":"
           "\"certificate-expired\"},\"chain\":\"CN=mx.d, issued by CN=CA\\n\",\"stage\":\"handshake\","
           "\"reply\":\"expired\",\"transcript\":\"S: 220 mx\\nC: EHLO r\\n\"}}]}\n";
  });
  EXPECT_EQ(run({"trace", "--error", "550", "--domain", "d.example"}).out,
            "01A\tT\tbounced\t1\ta@b\tc@d\t550 no\n");
  EXPECT_EQ(relay.asked().back(), "GET /v1/history?domain=d.example&error=550");
  EXPECT_EQ(run({"trace", "--from", "nobody"}).code, 1);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"trace", "01A"}, {"trace", "--message", "01A"}}) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out,
              "01A  from a@b, 7 octets\n"
              "  to c@d  bounced, 1 attempt: 550 no\n"
              "\n"
              "T0  accepted  by submission\n"
              "T1  attempt  mx.d [192.0.2.1]\n"
              "    TLSv1.3 X, policy sts (enforce), certificate-expired\n"
              "    certificate: CN=mx.d, issued by CN=CA\n"
              "    handshake: expired\n"
              "    | S: 220 mx\n"
              "    | C: EHLO r\n");
  }
  EXPECT_EQ(run({"trace", "../x"}).code, 64);
}

TEST_F(Cli, SendTestFollowsTheMessageToItsEnd) {
  std::atomic<int> looked = 0;
  std::atomic<const char*> end = "delivered";
  const FakeRelay relay(socket(), [&](const std::string& line) -> std::string {
    if (line.starts_with("POST /v1/send-test")) return "200 {\"schema\":1,\"msg\":\"01A\"}";
    const bool over = ++looked > 2;
    const std::string state = over ? end.load() : "deferred";
    return "200 {\"msg\":\"01A\",\"recipients\":[{\"state\":\"" + state +
           "\"}],\"history\":[{\"at\":\"T1\",\"event\":\"deferred\",\"detail\":{}}" +
           (over ? ",{\"at\":\"T2\",\"event\":\"" + state + "\",\"detail\":{}}" : "") + "]}";
  });
  EXPECT_EQ(run({"send-test", "a@b.example"}).out, "queued as 01A; see holdfast trace 01A\n");
  EXPECT_EQ(relay.asked().back(), "POST /v1/send-test?to=a%40b.example");
  const Ran good = run({"send-test", "a@b.example", "--wait"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(good.out, "queued as 01A\nT1  deferred\nT2  delivered\n");
  end = "bounced";
  EXPECT_EQ(run({"send-test", "a@b.example", "--wait"}).code, 1);
  looked = -1000;
  EXPECT_EQ(run({"send-test", "a@b.example", "--wait", "--timeout", "1"}).code, 75);
}

}  // namespace
}  // namespace holdfast
