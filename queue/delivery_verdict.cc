#include "queue/delivery_verdict.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <fmt/format.h>

#include "tlsrpt/result_type.h"

namespace holdfast {
namespace {

std::string generic_status(int code) { return fmt::format("{}.0.0", code / 100); }

// Replies that say "not so much, not so fast": 421, any refusal of the session, and the enhanced codes that
// large sites use for it (RFC 3463 X.3.2, X.4.5; 4.7.0 and 4.7.28 about the client, where X.7.1 mostly means
// greylisting).
bool asks_to_slow_down(const Reply& reply, Stage stage) {
  if (reply.code == 421) return true;
  if (!reply.temporary()) return false;
  if (stage == Stage::greeting || stage == Stage::ehlo) return true;
  const auto e = reply.enhanced();
  if (!e) return false;
  if ((e->subject == 3 && e->detail == 2) || (e->subject == 4 && e->detail == 5)) return true;
  return e->subject == 7 && (e->detail == 28 || (e->detail == 0 && stage != Stage::rcpt));
}

std::string mode_text(const AppliedPolicy& policy) {
  if (policy.type == AppliedPolicy::Type::sts) return std::string("sts ") + name(policy.mode);
  if (policy.type == AppliedPolicy::Type::tlsa) return policy.enforced ? "dane enforce" : "dane observe";
  return "";
}

// The policy that a failure is blamed on: an enforced one before a watched one.
std::string blamed(const MxPlan& plan) {
  const AppliedPolicy* best = nullptr;
  for (const auto& p : plan.policies) {
    if (p.type == AppliedPolicy::Type::none || p.text.empty()) continue;  // without text: it could not be had
    if (!best || (p.enforced && !best->enforced)) best = &p;
  }
  return best ? mode_text(*best) : "";
}

Verdict policy_verdict(const MxPlan& plan, std::string reason, const char* cause, const TlsClass& message) {
  Verdict v;
  v.status = "4.7.5";
  v.policy = true;
  v.mx = plan.mx.name.text();
  v.stage = "starttls";
  // Whoever made the exception is to see in the queue that it does not reach far enough.
  if (!plan.lowered_by.empty()) reason += "; the exception (" + plan.lowered_by + ") does not cover this";
  if (!plan.not_lowered_by.empty())
    reason += "; the exception (" + plan.not_lowered_by + ") does not reach a route with a password";
  v.text = sanitise(fmt::format("{}: {}", v.mx.empty() ? "the next hop" : v.mx, reason));
  std::string who = blamed(plan);
  if (message.requiretls) who = who.empty() ? "requiretls" : "requiretls " + who;
  if (who.empty()) who = "local";
  v.policy_field = fmt::format("{} {}", who, cause);
  v.explanation = sanitise(
      fmt::format(
          "The message was not handed to the mail server {} because its protection in transit could not be "
          "assured: {}. {}",
          v.mx, reason,
          message.requiretls ? "The sender asked for verified TLS all the way (REQUIRETLS)."
                             : "The recipient's domain or this relay demands it."),
      1024);
  return v;
}

}  // namespace

std::string certificate_line(const CertificateInfo& certificate) {
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(certificate.names.size(), 5); ++i)
    names += (names.empty() ? " (" : " ") + certificate.names[i];
  if (!names.empty()) names += certificate.names.size() > 5 ? " …)" : ")";
  const auto last_day = std::chrono::floor<std::chrono::days>(certificate.not_after);
  return sanitise(fmt::format("{}{}, issued by {}, to {:%Y-%m-%d}, {}, sha256 {}", certificate.subject, names,
                              certificate.issuer, last_day, certificate.key, certificate.sha256));
}

Verdict own_verdict(Verdict::Kind kind, std::string status, std::string text) {
  Verdict v;
  v.kind = kind;
  v.status = std::move(status);
  v.text = sanitise(text);
  v.explanation = v.text;
  return v;
}

Verdict verdict_of(const RecipientResult& result) {
  const Reply& reply = result.reply;
  Verdict v;
  v.code = reply.code;
  v.stage = name(result.stage);
  v.text = reply.summary();
  const auto enhanced = reply.enhanced();
  v.status = enhanced ? enhanced->text() : generic_status(reply.code);
  v.throttle = asks_to_slow_down(reply, result.stage);
  if (reply.accepted()) {
    v.kind = Verdict::Kind::delivered;
  } else if (reply.permanent()) {
    v.kind = Verdict::Kind::permanent;
  } else if (!reply.temporary()) {
    v.status = "4.5.0";  // 1yz, 3yz or nonsense where an answer was due
  }
  return v;
}

Verdict refused_session(const Reply& reply, Stage stage) {
  Verdict v;
  v.code = reply.code;
  v.stage = name(stage);
  v.text = reply.summary();
  const auto enhanced = reply.enhanced();
  v.status = enhanced && enhanced->status_class == 4 ? enhanced->text() : "4.3.2";
  v.throttle = reply.temporary();
  v.explanation = fmt::format("The mail server refused the session: {}", v.text);
  return v;
}

Verdict broken_session(const Error& error, Stage stage) {
  Verdict v;
  v.stage = name(stage);
  v.status = stage == Stage::connect ? "4.4.1" : "4.4.2";
  v.text = sanitise(error.text());
  v.explanation = v.text;
  return v;
}

Verdict in_doubt(const Error& error) {
  Verdict v = broken_session(error, Stage::final_dot);
  v.text = sanitise("connection lost before the server confirmed the message, it may have taken it: " +
                    error.text());
  v.explanation = v.text;
  return v;
}

std::optional<Verdict> verdict_of(const MxSet& mx, bool by_route) {
  using Kind = Verdict::Kind;
  const std::string& domain = mx.domain.text();
  const std::string missing = "the domain " + domain + " does not exist";
  const std::string why = mx.detail.empty() || mx.detail == missing ? "" : " (" + mx.detail + ")";
  std::optional<Verdict> v;
  switch (mx.verdict) {
    case MxVerdict::ok: return std::nullopt;
    case MxVerdict::unknown:
      v = own_verdict(Kind::temporary, "4.4.3",
                      "DNS gives no answer about the mail servers of " + domain + why);
      break;
    case MxVerdict::null_mx:
      v = own_verdict(Kind::permanent, "5.1.10", domain + " accepts no mail (null MX, RFC 7505)");
      break;
    case MxVerdict::no_domain: v = own_verdict(Kind::permanent, "5.1.2", missing + why); break;
    case MxVerdict::no_hosts:
      v = own_verdict(Kind::permanent, "5.4.4", domain + " names no usable mail server" + why);
      break;
    case MxVerdict::loop:
      v = own_verdict(Kind::permanent, "5.4.6", "mail for " + domain + " loops back to this relay" + why);
      break;
  }
  v->stage = "dns";
  if (by_route && v->kind == Kind::permanent) {
    v->kind = Kind::temporary;
    v->status = "4.4.4";
    v->text = sanitise("the route leads nowhere: " + v->text);
  }
  return v;
}

bool may_be_forged(const Verdict& verdict, const MxSet& mx) {
  return verdict.kind == Verdict::Kind::permanent && !mx.secure && !mx.domain.empty();
}

Verdict against_policy(Verdict verdict, const TlsPlan& plan) {
  if (!plan.sts || plan.sts->policy.mode != StsMode::enforce) return verdict;
  Verdict v =
      own_verdict(Verdict::Kind::temporary, "4.4.3",
                  fmt::format("{}; not believed, since DNS does not sign it and the MTA-STS policy in "
                              "force ({}) names mail servers",
                              verdict.text, name(plan.sts->policy.mode)));
  v.stage = verdict.stage;
  return v;
}

Verdict tls_refused(const TlsFailure& failure, const MxPlan& plan, const TlsClass& message) {
  auto blame = AppliedPolicy::Type::none;
  for (const auto& p : plan.policies)
    if (p.enforced) blame = p.type;
  std::string reason = describe(failure.error);
  if (!failure.detail.empty()) reason += " (" + failure.detail + ")";
  const char* cause = failure.error == TlsError::requiretls_missing ? "requiretls-not-offered"
                                                                    : name(result_type_of(failure, blame));
  return policy_verdict(plan, std::move(reason), cause, message);
}

Verdict mx_refused(const MxPlan& plan, const TlsClass& message) {
  std::string reason = plan.detail.empty() ? describe(plan.finding) : plan.detail;
  const char* cause = "not-usable";
  switch (plan.finding) {
    case PlanFinding::mx_not_in_policy: cause = "mx-not-in-policy"; break;
    case PlanFinding::tlsa_unknown: cause = "tlsa-unknown"; break;
    case PlanFinding::not_authenticated: cause = "not-authenticated"; break;
    case PlanFinding::address_unknown: {
      Verdict v = own_verdict(Verdict::Kind::temporary, "4.4.3", plan.mx.name.text() + ": " + reason);
      v.mx = plan.mx.name.text();
      v.stage = "dns";
      return v;
    }
    default: break;
  }
  Verdict v = policy_verdict(plan, std::move(reason), cause, message);
  v.stage = "plan";
  return v;
}

bool needs_smtputf8(const MessageMeta& meta, const Mailbox& recipient) {
  return meta.smtputf8 || meta.reverse_path.needs_smtputf8() || recipient.needs_smtputf8();
}

std::optional<Verdict> unmet_extension(const MessageMeta& meta, const Mailbox& recipient, std::uint64_t size,
                                       const Extensions& extensions) {
  using Kind = Verdict::Kind;
  std::optional<Verdict> v;
  if (extensions.size > 0 && size > extensions.size) {
    v = own_verdict(
        Kind::permanent, "5.3.4",
        fmt::format("the message has {} octets, the mail server takes at most {}", size, extensions.size));
  } else if (needs_smtputf8(meta, recipient) && !extensions.smtputf8) {
    v = own_verdict(
        Kind::permanent, "5.6.7",
        "the message needs internationalised mail (SMTPUTF8), which the mail server does not offer");
  } else if (meta.body_type == BodyType::eight_bit && !extensions.eight_bit) {
    v = own_verdict(Kind::permanent, "5.6.3",
                    "the message has 8-bit content, which the mail server does not take (8BITMIME), and is "
                    "not converted");
  }
  if (v) v->stage = "mail";
  return v;
}

std::string policy_label(const MxPlan& plan, bool by_route) {
  bool sts = false, dane = false;
  for (const auto& p : plan.policies) {
    sts = sts || (p.type == AppliedPolicy::Type::sts && p.mode != StsMode::none);
    dane = dane || p.type == AppliedPolicy::Type::tlsa;
  }
  if (sts) return dane ? "dane+sts" : "sts";
  if (dane) return "dane";
  return by_route ? "route" : "none";
}

bool domain_enforces(const AppliedPolicy& policy) {
  if (policy.type == AppliedPolicy::Type::sts) return policy.mode == StsMode::enforce;
  return policy.type == AppliedPolicy::Type::tlsa;  // a TLSA record knows no testing
}

std::string policy_mode(const MxPlan& plan) {
  if (!plan.lowered_by.empty()) return "exception";
  const char* mode = "none";
  for (const auto& p : plan.policies) {
    if (p.enforced) return "enforce";
    if (p.type == AppliedPolicy::Type::sts && p.mode == StsMode::testing && mode == std::string_view("none"))
      mode = "testing";
    if (domain_enforces(p)) mode = "observe";
  }
  return mode;
}

const char* name(Fate fate) {
  switch (fate) {
    case Fate::delivered: return "delivered";
    case Fate::deferred: return "deferred";
    case Fate::given_back: return "deferred";
    case Fate::bounced: return "bounced";
    case Fate::expired: return "expired";
    case Fate::damaged: return "damaged";
  }
  return "";
}

Fate fate_of(const Verdict& verdict, WallTime expires, WallTime now) {
  switch (verdict.kind) {
    case Verdict::Kind::delivered: return Fate::delivered;
    case Verdict::Kind::permanent: return Fate::bounced;
    case Verdict::Kind::damaged: return Fate::damaged;
    case Verdict::Kind::temporary: break;
  }
  return now >= expires ? Fate::expired : Fate::deferred;
}

}  // namespace holdfast
