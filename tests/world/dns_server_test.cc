#include "tests/world/dns_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/world/process.h"

namespace holdfast::world {
namespace {

// dnspython reads what the server says: it shares nothing with this project.
constexpr const char* kScript = R"(
import sys, dns.exception, dns.flags, dns.message, dns.query, dns.rcode, dns.rdatatype
host, port, name, kind, transport = sys.argv[1:6]
query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
query.flags |= dns.flags.AD
ask = dns.query.tcp if transport == 'tcp' else dns.query.udp
try:
    answer = ask(query, host, port=int(port), timeout=1 if transport == 'short' else 10)
except dns.exception.Timeout:
    print('timeout'); sys.exit()
flags = dns.flags.to_text(answer.flags)
print(dns.rcode.to_text(answer.rcode()), *[f for f in ('AD', 'TC') if f in flags.split()])
for rrset in answer.answer:
    for rdata in rrset: print(rrset.name, rdata)
for rrset in answer.authority: print('authority', dns.rdatatype.to_text(rrset.rdtype), rrset.ttl)
)";

class WorldDns : public testing::Test {
 protected:
  void SetUp() override {
    if (run_process({"/usr/bin/python3", "-c", "import dns.message"}).code != 0) {
      GTEST_SKIP() << "python3-dnspython is not installed";
    }
  }
  std::string ask(const std::string& name, const std::string& type, const std::string& transport = "udp") {
    const auto end = run_process({"/usr/bin/python3", "-c", kScript, server_.endpoint().ip,
                                  std::to_string(server_.endpoint().port), name, type, transport});
    return end.out + end.err;
  }
  DnsServer server_;
};

TEST_F(WorldDns, AnswersWithTheRecordsItWasGiven) {
  server_.add("enforce.test", "MX", "10 mx.enforce.test");
  server_.add("mx.enforce.test", "A", "127.9.8.7");
  server_.add("mx.enforce.test", "AAAA", "::1");
  server_.add("_25._tcp.mx.enforce.test", "TLSA", "3 1 1 00ff");
  EXPECT_EQ(ask("Enforce.Test", "MX"), "NOERROR\nEnforce.Test. 10 mx.enforce.test.\n");
  EXPECT_EQ(ask("mx.enforce.test", "A"), "NOERROR\nmx.enforce.test. 127.9.8.7\n");
  EXPECT_EQ(ask("mx.enforce.test", "AAAA"), "NOERROR\nmx.enforce.test. ::1\n");
  EXPECT_EQ(ask("_25._tcp.mx.enforce.test", "TLSA"), "NOERROR\n_25._tcp.mx.enforce.test. 3 1 1 00ff\n");
  EXPECT_EQ(server_.queries("mx.enforce.test", "A"), 1u);
  EXPECT_EQ(server_.queries(), 4u);
}

TEST_F(WorldDns, TellsANameWithoutSuchRecordsFromAnAbsentName) {
  server_.add("a.b.test", "A", "127.0.0.1");
  EXPECT_EQ(ask("a.b.test", "MX"), "NOERROR\nauthority SOA 1\n");
  EXPECT_EQ(ask("b.test", "MX"), "NOERROR\nauthority SOA 1\n");
  EXPECT_EQ(ask("c.test", "MX"), "NXDOMAIN\nauthority SOA 1\n");
}

TEST_F(WorldDns, FollowsAliases) {
  server_.add("alias.test", "CNAME", "real.test");
  server_.add("real.test", "TXT", "hello");
  EXPECT_EQ(ask("alias.test", "TXT"), "NOERROR\nalias.test. real.test.\nreal.test. \"hello\"\n");
  server_.add("loop.test", "CNAME", "loop.test");
  EXPECT_EQ(ask("loop.test", "TXT"), "SERVFAIL\n");
}

TEST_F(WorldDns, SetsTheAuthenticBitOnlyWhereEveryNameIsSecure) {
  server_.set_secure("signed.test", true);
  server_.add("mx.signed.test", "A", "127.0.0.2");
  server_.add("out.signed.test", "CNAME", "unsigned.test");
  server_.add("unsigned.test", "A", "127.0.0.3");
  EXPECT_EQ(ask("mx.signed.test", "A"), "NOERROR AD\nmx.signed.test. 127.0.0.2\n");
  EXPECT_EQ(ask("absent.signed.test", "A"), "NXDOMAIN AD\nauthority SOA 1\n");
  EXPECT_EQ(ask("out.signed.test", "A"),
            "NOERROR\nout.signed.test. unsigned.test.\nunsigned.test. 127.0.0.3\n");
}

TEST_F(WorldDns, FailsAsToldUntilToldOtherwise) {
  server_.add("faulty.test", "TXT", "text");
  server_.set_fault("faulty.test", "TXT", DnsFault::servfail);
  EXPECT_EQ(ask("faulty.test", "TXT"), "SERVFAIL\n");
  server_.set_fault("faulty.test", "TXT", DnsFault::nxdomain);
  EXPECT_EQ(ask("faulty.test", "TXT"), "NXDOMAIN\n");
  server_.set_fault("faulty.test", "TXT", DnsFault::timeout);
  EXPECT_EQ(ask("faulty.test", "TXT", "short"), "timeout\n");
  server_.set_fault("faulty.test", "TXT", DnsFault::truncate);
  EXPECT_EQ(ask("faulty.test", "TXT"), "NOERROR TC\n");
  EXPECT_EQ(ask("faulty.test", "TXT", "tcp"), "NOERROR\nfaulty.test. \"text\"\n");
  server_.set_fault("faulty.test", "TXT", DnsFault::none);
  EXPECT_EQ(ask("faulty.test", "TXT"), "NOERROR\nfaulty.test. \"text\"\n");
}

TEST_F(WorldDns, TruncatesOverUdpWhatIsLargerThanTheClientTakes) {
  for (int i = 0; i < 8; ++i) server_.add_txt("large.test", {std::string(250, static_cast<char>('a' + i))});
  EXPECT_EQ(ask("large.test", "TXT"), "NOERROR TC\n");
  EXPECT_GT(ask("large.test", "TXT", "tcp").size(), 2000u);
  EXPECT_EQ(server_.tcp_queries(), 1u);
}

TEST_F(WorldDns, KeepsTheStringsOfATxtRecordApart) {
  server_.add_txt("split.test", {"v=STSv1;", " id=1"});
  EXPECT_EQ(ask("split.test", "TXT"), "NOERROR\nsplit.test. \"v=STSv1;\" \" id=1\"\n");
}

}  // namespace
}  // namespace holdfast::world
