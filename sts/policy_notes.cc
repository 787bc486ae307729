// What a look at the record or a fetch showed: kept for the answers, told to log and metrics, and the alarms.
#include <algorithm>

#include "smtp/base/base_error.h"
#include "sts/policy_domain.h"
#include "sts/record.h"

namespace holdfast {

StsError sts_error_of(const Error& error) {
  if (error.code.category() == EnumCategory<StsError>::instance())
    return static_cast<StsError>(error.code.value());
  return error.is(BaseError::timed_out) ? StsError::timed_out : StsError::connect_failed;
}

void PolicyService::note_record(const DomainName& name, Domain& domain, const DnsAnswer& answer) {
  domain.looked = p_.clock.now();
  domain.id.clear();
  domain.detail.clear();
  // Only "no such name" and "no such data" mean that there is none; everything else is not knowing.
  if (answer.status == DnsStatus::ok) {
    std::vector<std::string> txt;
    for (const RecordData& data : answer.records) {
      if (const auto* text = std::get_if<std::string>(&data)) txt.push_back(*text);
    }
    auto record = find_sts_record(txt);
    if (!record) {
      domain.record = Domain::Record::invalid;
      domain.detail = record.error().text();
    } else if (*record) {
      domain.record = Domain::Record::present;
      domain.id = (*record)->id;
    } else {
      domain.record = Domain::Record::absent;
    }
  } else if (answer.status == DnsStatus::no_data || answer.status == DnsStatus::nx_domain) {
    domain.record = Domain::Record::absent;
  } else {
    domain.record = Domain::Record::unknown;
    domain.detail =
        std::string("the lookup of _mta-sts.") + name.text() + " failed: " + describe(answer.status);
    return;
  }
  if (domain.record == Domain::Record::present) {
    if (domain.alarmed == "record-vanished") domain.alarmed.clear();
  } else if (in_force(domain) && domain.policy->policy.mode != StsMode::none &&
             domain.alarmed != "record-vanished") {
    domain.alarmed = "record-vanished";
    downgrade(name, "record-vanished", *domain.policy,
              domain.detail.empty() ? "no _mta-sts record" : domain.detail);
  }
}

void PolicyService::note_success(const DomainName& name, Domain& domain, const CachedPolicy& fetched) {
  p_.metrics.counter("sts_fetch_total", {{"result", "ok"}}).add();
  domain.failure.reset();
  domain.failed_id.clear();
  domain.back_off = {};
  const bool held = in_force(domain);
  if (held && domain.policy->policy.mode == StsMode::enforce && fetched.policy.mode != StsMode::enforce) {
    downgrade(name, "weaker-policy", *domain.policy,
              std::string("enforce to ") + holdfast::name(fetched.policy.mode));
  }
  // What the record says ends its own alarm: as long as it is gone, each fetch would raise it anew.
  if (domain.alarmed != "record-vanished") domain.alarmed.clear();
  if (held && domain.policy->id == fetched.id && domain.policy->policy == fetched.policy) return;
  Fields fields;
  fields.add("domain", name.text()).add("change", held ? "replaced" : "new").add("id", fetched.id);
  fields.add("mode", holdfast::name(fetched.policy.mode))
      .add("max_age", static_cast<std::int64_t>(fetched.policy.max_age.count()));
  std::string mx;
  for (const std::string& pattern : fetched.policy.mx) mx += (mx.empty() ? "" : " ") + pattern;
  p_.log.event("sts_policy", fields.add("mx", mx));
}

void PolicyService::note_failure(const DomainName& name, Domain& domain, const Error& error) {
  const StsError cause = sts_error_of(error);
  p_.metrics.counter("sts_fetch_total", {{"result", holdfast::name(cause)}}).add();
  const bool held = in_force(domain), present = domain.record == Domain::Record::present;
  const std::string id = present || !domain.policy ? domain.id : domain.policy->id;
  const bool again = domain.failure && domain.failed_id == id;
  domain.back_off = again ? std::min(2 * domain.back_off, kLongestBackOff) : kFirstBackOff;
  domain.failure = error;
  domain.failed_id = id;
  domain.retry_at = p_.clock.now() + domain.back_off;
  domain.refresh_at = std::max(domain.refresh_at, domain.retry_at);

  Fields fields;
  fields.add("domain", name.text())
      .add("change", "fetch-failed")
      .add("id", id)
      .add("cause", holdfast::name(cause));
  fields.add("reason", error.text()).add("held", held ? holdfast::name(domain.policy->policy.mode) : "");
  p_.log.event("sts_policy", fields);
  // A new id whose policy cannot be had: exactly how one would try to shake an enforce policy off.
  const std::string alarm = "fetch-failed " + id;
  if (held && domain.policy->policy.mode != StsMode::none && domain.policy->id != id &&
      domain.alarmed != alarm) {
    domain.alarmed = alarm;
    downgrade(name, "fetch-failed", *domain.policy, "new id " + id + ": " + error.text());
  }
}

void PolicyService::downgrade(const DomainName& name, std::string_view cause, const CachedPolicy& held,
                              std::string_view detail) {
  p_.metrics.counter("sts_downgrade_total").add();
  Fields fields;
  fields.add("domain", name.text()).add("cause", cause).add("mode", holdfast::name(held.policy.mode));
  p_.log.event("sts_downgrade", fields.add("id", held.id).add("reason", detail));
}

}  // namespace holdfast
