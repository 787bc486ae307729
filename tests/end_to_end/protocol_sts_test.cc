// MTA-STS, line by line: the record, the policy, its fetch, and how it is applied (RFC 8461).
#include "tests/end_to_end/protocol.h"

namespace holdfast::world {
namespace {

using End = ProtocolCase::End;
using Cases = std::vector<ProtocolCase>;

// Under an enforce policy that is published as told, an untrusted MX: held when the policy was understood,
// delivered when there is none.
void publish(World& world, const std::vector<std::string>& txt) {
  add_enforce(world, untrusted(world));
  world.dns().remove("_mta-sts.d.test", "TXT");
  for (const auto& record : txt) world.dns().add("_mta-sts.d.test", "TXT", record);
}

void serve(World& world, HttpReply reply) {
  add_enforce(world, untrusted(world));
  world.https().serve("mta-sts.d.test", std::move(reply));
}

HttpReply policy(const std::string& body) {
  HttpReply reply;
  reply.body = body;
  return reply;
}

HttpReply enforcing() { return policy(policy_text("enforce", {kTheMx})); }

const std::vector<Counted> kFetchError = {{"sts", 0, 1, {"sts-policy-fetch-error"}}};
const std::vector<Counted> kUntrusted = {{"sts", 0, 1, {"certificate-not-trusted"}}};

Cases records() {
  return {
      {"FollowsAnAlias",
       [](World& world) {
         publish(world, {});
         world.dns().add("_mta-sts.d.test", "CNAME", "records.elsewhere.test");
         world.dns().add("records.elsewhere.test", "TXT", "v=STSv1; id=1;");
       },
       End::held, kUntrusted},
      {"JoinsTheStringsOfOneRecordWithoutASpace",
       [](World& world) {
         publish(world, {});
         world.dns().add_txt("_mta-sts.d.test", {"v=STS", "v1; i", "d=20260101;"});
       },
       End::held, kUntrusted},
      {"LooksForAnInternationalDomainByItsALabels",
       [](World& world) {
         const std::string domain = "xn--bcher-kva.test";
         world.add_simple_domain(domain, untrusted(world, "mx." + domain));
         world.publish_policy(domain, "enforce", {"mx." + domain});
       },
       End::held,
       {},
       {},
       {},
       "bob@b\xc3\xbc"
       "cher.test",
       "bob@xn--bcher-kva.test"},
      {"AStrayRecordSwitchesNothingOff",
       [](World& world) {
         publish(world, {"google-site-verification=1", "v=STSv1; id=1;", "v=spf1 -all"});
       },
       End::held, kUntrusted},
      {"TwoRecordsOfTheVersionAreNone",
       [](World& world) {
         publish(world, {"v=STSv1; id=1;", "v=STSv1; id=2;"});
       },
       End::over_tls,
       {{"no-policy-found", 1, 0, {}}}},
      {"TakesExtensionsWhiteSpaceAndTheFirstId",
       [](World& world) { publish(world, {"v=STSv1; x=y ;id=first  ; id=second"}); }, End::held, kUntrusted,
       [](World&, Relay& relay) {
         EXPECT_EQ(relay.run_json({"sts", "show"}).at(0)["id"], "first");
       }},
      {"AnIdOf33LettersIsNoRecord",
       [](World& world) { publish(world, {"v=STSv1; id=" + std::string(33, 'a') + ";"}); },
       End::over_tls,
       {{"no-policy-found", 1, 0, {}}}},
      {"AFailingLookupMakesTheMessageWait",
       [](World& world) {
         publish(world, {"v=STSv1; id=1;"});
         world.dns().set_fault("_mta-sts.d.test", "TXT", DnsFault::servfail);
       },
       End::waits},
      {"ASilentLookupMakesTheMessageWait",
       [](World& world) {
         publish(world, {"v=STSv1; id=1;"});
         world.dns().set_fault("_mta-sts.d.test", "TXT", DnsFault::timeout);
       },
       End::waits},
  };
}

Cases policies() {
  return {
      {"LineFeedsUnknownKeysAndTheFirstOfTwo",
       [](World& world) {
         serve(world, policy("version: STSv1\nmode: enforce\nmode: none\nfuture: x\nmx: mx.d.test\n"
                             "max_age: 9999999999\nmax_age: 1\n"));
       },
       End::held, kUntrusted,
       [](World&, Relay& relay) {
         EXPECT_EQ(relay.run_json({"sts", "show"}).at(0)["max_age"], "31557600");
       }},
      {"ModeNoneNeedsNoMx",
       [](World& world) { serve(world, policy("version: STSv1\nmode: none\nmax_age: 60\n")); },
       End::over_tls,
       {{"no-policy-found", 1, 0, {}}}},
      {"AWildcardIsExactlyOneLabel",
       [](World& world) {
         world.add_mx("a.b.d.test");
         world.add_domain(kDomain, {"a.b.d.test"});
         world.publish_policy(kDomain, "enforce", {"*.d.test"});
       },
       End::held,
       {{"sts", 0, 1, {"validation-failure"}}},
       [](World& world, Relay&) { EXPECT_TRUE(world.journal().sessions("a.b.d.test").empty()); }},
      {"AWildcardTakesOneLabel",
       [](World& world) {
         world.add_simple_domain(kDomain);
         world.publish_policy(kDomain, "enforce", {"*.d.test"});
       },
       End::over_tls,
       {{"sts", 1, 0, {}}}},
      {"InternationalPatternsAreComparedAsALabels",
       [](World& world) {
         world.add_mx("mx.xn--bcher-kva.test");
         world.add_domain(kDomain, {"mx.xn--bcher-kva.test"});
         world.publish_policy(kDomain, "enforce",
                              {"*.b\xc3\xbc"
                               "cher.test"});
       },
       End::over_tls,
       {{"sts", 1, 0, {}}}},
      {"EnforceWithoutAnMxIsInvalidRatherThanAnEmptyMatch",
       [](World& world) { serve(world, policy(policy_text("enforce", {}))); },
       End::over_tls,
       {{"sts", 0, 1, {"sts-policy-invalid"}}}},
  };
}

Cases fetches() {
  const auto redirect = [](World& world) {
    HttpReply reply = enforcing();
    reply.status = 302;
    reply.headers.emplace_back(
        "location",
        "https://mta-sts.elsewhere.test:" + std::to_string(world.https_port()) + "/.well-known/mta-sts.txt");
    world.https().serve("mta-sts.elsewhere.test", enforcing());
    world.dns().add("mta-sts.elsewhere.test", "A", world.https().endpoint().ip);
    serve(world, reply);
  };
  const auto changed = [](auto change) {
    return [change](World& world) {
      HttpReply reply = enforcing();
      change(reply);
      serve(world, reply);
    };
  };
  return {
      {"AsksTheVeryHostForTheVeryPath",
       [](World& world) { add_enforce(world); },
       End::over_tls,
       {{"sts", 1, 0, {}}},
       [](World& world, Relay&) {
         const auto requests = world.https().requests("mta-sts.d.test");
         ASSERT_EQ(requests.size(), 1u);
         EXPECT_EQ(requests[0].path, "/.well-known/mta-sts.txt");
         EXPECT_EQ(requests[0].protocol, "h2");
       }},
      {"SpeaksHttp11WhereThatIsAllThereIs",
       [](World& world) {
         world.https().set_alpn({"http/1.1"});
         serve(world, enforcing());
       },
       End::held, kUntrusted,
       [](World& world, Relay&) {
         EXPECT_EQ(world.https().requests("mta-sts.d.test").at(0).protocol, "http/1.1");
       }},
      {"APolicyHostOfAnotherNameIsNotBelieved",
       [](World& world) {
         serve(world, enforcing());
         world.https().set_identity("mta-sts.d.test", world.authority().issue("elsewhere.test"));
       },
       End::over_tls,
       {{"sts", 0, 1, {"sts-webpki-invalid"}}}},
      {"APolicyHostBelowTls12IsNotBelieved",
       [](World& world) {
         serve(world, enforcing());
         world.https().set_tls("1.0", "1.1");
       },
       End::over_tls,
       {{"sts", 0, 1, {"sts-webpki-invalid"}}}},
      {"ARedirectIsAFailureAndNeverFollowed", redirect, End::over_tls, kFetchError,
       [](World& world, Relay&) { EXPECT_EQ(world.https().request_count("mta-sts.elsewhere.test"), 0u); }},
      {"OtherSuccessesAreNoPolicy", changed([](HttpReply& r) { r.status = 203; }), End::over_tls,
       kFetchError},
      {"AnotherMediaTypeIsNoPolicy", changed([](HttpReply& r) { r.content_type = "text/html"; }),
       End::over_tls, kFetchError},
      {"ParametersOfTheMediaTypeAreAllowed",
       changed([](HttpReply& r) { r.content_type = "text/plain; charset=utf-8"; }), End::held, kUntrusted},
      {"AnEncodedPolicyIsNone",
       changed([](HttpReply& r) { r.headers.emplace_back("content-encoding", "gzip"); }), End::over_tls,
       kFetchError},
      {"APolicyThatIsCutOffIsNone", changed([](HttpReply& r) { r.fault = HttpFault::truncate; }),
       End::over_tls, kFetchError},
      {"APolicyBeyondTheLimitIsNone",
       changed([](HttpReply& r) { r.body += "x: " + std::string(70 * 1024, 'x') + "\r\n"; }), End::over_tls,
       kFetchError},
      {"ASlowDripDoesNotOutlastTheDeadline",
       changed([](HttpReply& r) { r.fault = HttpFault::drip; }),
       End::over_tls,
       kFetchError,
       {},
       {{"sts.fetch_timeout", "\"2s\""}}},
      {"FetchFailuresAreReportedWithAnEmptyPolicyString", changed([](HttpReply& r) { r.status = 404; }),
       End::over_tls, kFetchError,
       [](World&, Relay& relay) {
         const auto report =
             relay.run_json({"tlsrpt", "preview", "--day", "today", "--domain", kDomain}).at(0);
         EXPECT_EQ(report["report.policies.0.policy.policy-type"], "sts") << report.text();
         EXPECT_EQ(report["report.policies.0.policy.policy-string.0"], "");
       }},
  };
}

Cases applications() {
  return {
      {"TestingUsesAnMxOutsideThePolicyAndRecordsItOnce",
       [](World& world) {
         world.add_simple_domain(kDomain);
         world.publish_policy(kDomain, "testing", {"other.d.test"});
       },
       End::over_tls,
       {{"sts", 0, 1, {"validation-failure"}}}},
      {"AWildcardInACertificateCountsForOneLabel",
       [](World& world) { add_enforce(world, showing(world.authority().issue("*.d.test"))); },
       End::over_tls,
       {{"sts", 1, 0, {}}}},
      {"APartialWildcardNeverCounts",
       [](World& world) { add_enforce(world, showing(world.authority().issue("m*.d.test"))); },
       End::held,
       {{"sts", 0, 1, {"certificate-host-mismatch"}}}},
      {"AnAddressInACertificateNeverCounts",
       [](World& world) {
         add_enforce(world);
         CertificateSpec spec;
         spec.ip_names = {world.mx(kTheMx).endpoint().ip};
         world.mx(kTheMx).set(showing(world.authority().issue(spec)));
       },
       End::held,
       {{"sts", 0, 1, {"certificate-host-mismatch"}}}},
      {"TheServerNameIsTheMxHost",
       [](World& world) { add_enforce(world); },
       End::over_tls,
       {},
       [](World& world, Relay&) {
         for (const auto& session : world.journal().sessions(kTheMx)) EXPECT_EQ(session.tls.sni, kTheMx);
       }},
      {"ChainKeyVersionAndCipherAreRecordedForLogAndTrace",
       [](World& world) { add_enforce(world); },
       End::over_tls,
       {},
       [](World&, Relay& relay) {
         const auto delivered = relay.wait_for_log({{"event", "delivered"}});
         ASSERT_TRUE(delivered);
         EXPECT_EQ((*delivered)["tls.version"], "TLSv1.3");
         EXPECT_TRUE((*delivered)["tls.cipher"].starts_with("TLS_")) << delivered->text();
         const auto attempts = relay.log({{"event", "attempt"}});
         ASSERT_FALSE(attempts.empty());
         const auto trace = relay.run({"trace", "--message", (*delivered)["msg"], "--json"});
         for (const auto& text : {attempts[0].text(), trace.out}) {
           EXPECT_NE(text.find("mx.d.test"), std::string::npos) << text;
           EXPECT_NE(text.find("EC P-256"), std::string::npos) << text;
           EXPECT_NE(text.find("sha256"), std::string::npos) << text;
         }
       }},
      {"TheReasonNamesTheMxAndWhatFailed", [](World& world) { add_enforce(world, untrusted(world)); },
       End::held, kUntrusted,
       [](World&, Relay& relay) {
         const auto lines = relay.log({{"event", "deferred"}});
         ASSERT_FALSE(lines.empty());
         EXPECT_NE(lines[0]["reply"].find(kTheMx), std::string::npos) << lines[0].text();
         EXPECT_NE(lines[0]["reply"].find("certificate"), std::string::npos) << lines[0].text();
         EXPECT_TRUE(relay.log({{"event", "bounced"}}).empty());
       }},
      {"TlsBelow12IsNotEnough",
       [](World& world) {
         MxSettings old;
         old.tls.min_version = "1.0";
         old.tls.max_version = "1.1";
         add_enforce(world, old);
       },
       End::held},
      {"WithoutAPolicyAFailedHandshakeMeansCleartextOnANewConnectionAndIsRecorded",
       [](World& world) {
         world.add_simple_domain(kDomain);
         world.mx(kTheMx).on(Stage::handshake, Reaction::reset());
       },
       End::in_clear,
       {{"no-policy-found", 0, 1, {"validation-failure"}}},
       [](World& world, Relay&) { EXPECT_EQ(world.journal().sessions(kTheMx).size(), 2u); }},
      {"WithoutAPolicyWeakTlsIsBetterThanNone",
       [](World& world) {
         MxSettings old;
         old.tls.min_version = "1.0";
         old.tls.max_version = "1.1";
         world.add_simple_domain(kDomain, old);
       },
       End::over_tls},
      {"AHandshakeThatNeverEndsIsNoReasonForCleartext",
       [](World& world) {
         add_enforce(world);
         world.mx(kTheMx).on(Stage::handshake, Reaction::reset());
       },
       End::held},
  };
}

class StsRecord : public ProtocolTest {};
class StsPolicies : public ProtocolTest {};
class StsFetch : public ProtocolTest {};
class StsApplied : public ProtocolTest {};
TEST_P(StsRecord, IsRead) { prove(); }
TEST_P(StsPolicies, AreRead) { prove(); }
TEST_P(StsFetch, HoldsToTheRules) { prove(); }
TEST_P(StsApplied, ToAnMx) { prove(); }
INSTANTIATE_TEST_SUITE_P(Line, StsRecord, testing::ValuesIn(records()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Line, StsPolicies, testing::ValuesIn(policies()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Line, StsFetch, testing::ValuesIn(fetches()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Line, StsApplied, testing::ValuesIn(applications()), name_of_case);

}  // namespace
}  // namespace holdfast::world
