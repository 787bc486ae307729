// queue/delivery_verdict.h — what an attempt means for a recipient: replies, broken connections and findings
// of our own turned into one verdict, and a verdict into the recipient's fate. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "queue/store.h"
#include "smtp/client/client_session.h"
#include "smtp/dns/mx_lookup.h"
#include "sts/tls_planner.h"

namespace holdfast {

// How a connection was protected, as the log tells it.
struct TlsSummary {
  std::string version, cipher;  // "" = in clear
  std::string policy, mode;     // policy_label(), policy_mode()
  std::string result;           // RFC 8460 result type
  // The certificates that the peer showed, one line each, its own first; sanitised. For the history.
  std::vector<std::string> chain;
};

// "CN=mx.one.example, issued by CN=Some CA, to 2027-01-31, EC P-256, sha256 4f…", sanitised.
std::string certificate_line(const CertificateInfo& certificate);

struct Verdict {
  enum class Kind {
    delivered,
    temporary,
    permanent,
    damaged,  // the stored body cannot be read: set aside
  } kind = Kind::temporary;
  int code = 0;        // of the peer's reply; 0: our own judgement
  std::string status;  // enhanced status code, "4.7.5"
  std::string text;    // one line, sanitised: the reply, or why in our words
  std::string stage;   // where in the conversation
  std::string mx;      // host name, "" = none was reached
  std::string ip;
  std::string explanation;   // plain words for the sender
  std::string policy_field;  // "sts enforce starttls-not-supported", "" = no policy spoke
  bool policy = false;       // because of TLS policy
  bool throttle = false;     // the peer asks us to slow down
  bool next_hop_speaks_dsn = true;
  std::shared_ptr<const TlsSummary> tls;  // nullptr: there was no session
};

// A reply of the peer to a recipient: RCPT's own, or that of MAIL, DATA or the final dot.
Verdict verdict_of(const RecipientResult& result);
// A greeting, EHLO or AUTH reply that refuses us: always temporary, another MX is tried (RFC 5321
// section 4.2.4.1 has 4yz and 5yz there; what was said before a verified handshake must not bounce mail).
Verdict refused_session(const Reply& reply, Stage stage);
// The conversation broke.
Verdict broken_session(const Error& error, Stage stage);
// In doubt: the connection broke between the final dot and its reply.
Verdict in_doubt(const Error& error);
Verdict own_verdict(Verdict::Kind kind, std::string status, std::string text);
// Where mail for the domain goes cannot be said, or nowhere; nullopt for MxVerdict::ok. With `by_route` it is
// the operator's word that leads nowhere, which never bounces mail.
std::optional<Verdict> verdict_of(const MxSet& mx, bool by_route);
// A permanent verdict by a DNS answer that nobody signed: whoever forges one would bounce the domain's mail.
// The policy is asked first.
bool may_be_forged(const Verdict& verdict, const MxSet& mx);
// With a policy in force (enforce or testing) the domain itself says that it takes mail: such a verdict
// becomes temporary, 4.4.3.
Verdict against_policy(Verdict verdict, const TlsPlan& plan);
// TLS did not come about as required (4.7.5, RFC 8461 section 5).
Verdict tls_refused(const TlsFailure& failure, const MxPlan& plan, const TlsClass& message);
// The plan excludes the MX.
Verdict mx_refused(const MxPlan& plan, const TlsClass& message);

// Does the content or a mailbox need what the peer does not offer? 5.6.3, 5.6.7, 5.3.4 (RFC 6152, 6531,
// 1870).
std::optional<Verdict> unmet_extension(const MessageMeta& meta, const Mailbox& recipient, std::uint64_t size,
                                       const Extensions& extensions);
bool needs_smtputf8(const MessageMeta& meta, const Mailbox& recipient);

// Which policy spoke about an MX: "sts", "dane", "dane+sts", "route" or "none"; bounded, a metric label.
std::string policy_label(const MxPlan& plan, bool by_route);
// "enforce", "testing", "observe" (an enforcing policy that is only watched here), "exception" or "none".
std::string policy_mode(const MxPlan& plan);
// Does the domain itself enforce this policy, whatever is made of it here?
bool domain_enforces(const AppliedPolicy& policy);

enum class Fate { delivered, deferred, given_back, bounced, expired, damaged };
const char* name(Fate fate);
Fate fate_of(const Verdict& verdict, WallTime expires, WallTime now);

}  // namespace holdfast
