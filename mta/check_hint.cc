// What the owner of the checked domain should mend, in words that name the host and the remedy.
#include <fmt/format.h>

#include "mta/check_domain.h"

namespace holdfast {
namespace {

bool has_tlsa(const MxPlan& plan) {
  for (const AppliedPolicy& policy : plan.policies)
    if (policy.type == AppliedPolicy::Type::tlsa) return true;
  return false;
}

std::string names_of(const TlsEvidence& evidence) {
  if (evidence.chain.empty()) return "";
  std::string names;
  for (const std::string& name : evidence.chain.front().names) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "; it carries none" : "; it carries " + names;
}

std::string hint_for_failure(const TlsFailure& failure, const MxPlan& plan, const TlsEvidence& evidence) {
  const std::string& host = plan.mx.name.text();
  switch (failure.error) {
    case TlsError::none: return "";
    case TlsError::not_offered:
      return fmt::format("let {} offer STARTTLS; if it does, something on the way takes it out of its reply",
                         host);
    case TlsError::refused:
      return fmt::format("let {} take STARTTLS, which it offers and then refuses", host);
    case TlsError::injected:
      return fmt::format("clear text came behind {}'s reply to STARTTLS: an attack, or a very broken server",
                         host);
    case TlsError::connection_lost:
    case TlsError::timed_out:
    case TlsError::protocol:
      return fmt::format(
          "the TLS handshake of {} does not come about: look at its log, its TLS versions and "
          "ciphers",
          host);
    case TlsError::no_certificate: return fmt::format("give {} a certificate", host);
    case TlsError::expired: return fmt::format("renew the certificate of {}", host);
    case TlsError::not_yet_valid:
      return fmt::format("the certificate of {} is not valid yet: look at its clock and its dates", host);
    case TlsError::untrusted:
      return fmt::format("give {} a certificate of a public authority, and let it send the intermediates too",
                         host);
    case TlsError::host_mismatch:
      return fmt::format("give {} a certificate with that name as a DNS name{}", host, names_of(evidence));
    case TlsError::tlsa_mismatch:
      return fmt::format(
          "the TLSA records of {} match nothing in its chain: publish the new one before a key "
          "changes, and remove the old one after",
          host);
    case TlsError::tlsa_unusable:
      return fmt::format("publish a TLSA record of {} that SMTP can use: usage 3 or 2, such as 3 1 1", host);
    case TlsError::version_too_low: return fmt::format("let {} speak TLS 1.2 or later", host);
    case TlsError::requiretls_missing: return fmt::format("let {} offer REQUIRETLS", host);
  }
  return "";
}

}  // namespace

std::string hint_for(const MxPlan& plan, const OpenResult* opened) {
  const std::string& host = plan.mx.name.text();
  switch (plan.finding) {
    case PlanFinding::mx_not_in_policy:
      return fmt::format(
          "list {} in the mx lines of the MTA-STS policy and give the record a new id, or take "
          "it out of the MX records",
          host);
    case PlanFinding::tlsa_unknown:
      return fmt::format(
          "let the name servers of {} answer for TLSA and CNAME, with an absence too (many fail on it)",
          host);
    case PlanFinding::address_unknown:
      return fmt::format("give {} an address, or take it out of the MX records", host);
    case PlanFinding::tlsa_all_unusable:
      return fmt::format("publish a TLSA record of {} that SMTP can use: usage 3 or 2, such as 3 1 1", host);
    case PlanFinding::sts_fetch_failed:
      return fmt::format(
          "let https://mta-sts.{}/.well-known/mta-sts.txt serve the policy that the record "
          "announces, or remove the record",
          plan.policies.empty() ? std::string() : plan.policies.front().policy_domain.text());
    case PlanFinding::sts_unknown:
      return "let the domain's name servers answer for _mta-sts, with an absence too";
    case PlanFinding::none:
    case PlanFinding::not_authenticated:
    case PlanFinding::exception_applied: break;
  }
  if (opened == nullptr) return "";
  if (opened->refused)
    return fmt::format("{} refuses to talk to this relay: {}", host, opened->refused->summary());
  if (opened->broken && opened->stage == Stage::connect)
    return fmt::format("{} cannot be connected to: look at its firewall, or whether it runs", host);
  if (opened->broken) return fmt::format("{} ends the conversation early ({})", host, name(opened->stage));
  const TlsEvidence& evidence = opened->evidence;
  if (opened->tls_failure) return hint_for_failure(opened->tls_failure, plan, evidence);
  if (evidence.dane_failure) return hint_for_failure(evidence.dane_failure, plan, evidence);
  // A name or an authority counts only for who asks for it; DANE does not.
  bool sts = false;
  for (const AppliedPolicy& policy : plan.policies)
    sts = sts || (policy.type == AppliedPolicy::Type::sts && !policy.text.empty());
  if (sts && evidence.pkix_failure) return hint_for_failure(evidence.pkix_failure, plan, evidence);
  if (!sts && !has_tlsa(plan) && !evidence.pkix_failure && evidence.pkix)
    return fmt::format(
        "{} would pass: publish an MTA-STS policy (holdfast sts generate) or TLSA records, so that "
        "it cannot be stripped of TLS",
        host);
  return "";
}

}  // namespace holdfast
