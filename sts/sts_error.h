// sts/sts_error.h — what can be wrong on the way to a policy; what each means for delivery is in
// policy_store.h.
#pragma once

namespace holdfast {

enum class StsError {
  record_invalid = 1,  // one v=STSv1 record that breaks the grammar, or several: as if there were none
  policy_invalid,      // fetched, but not a policy
  dns_failed,          // the policy host does not resolve
  connect_failed,      // no connection to the policy host
  tls_failed,          // the policy host's certificate or handshake: sts-webpki-invalid
  http_status,         // any status but 200
  http_media_type,     // not text/plain
  http_protocol,       // the answer is not HTTP, is encoded, or was cut off
  too_large,           // more than sts.max_policy_size
  timed_out,           // the total deadline passed
  not_permitted,       // the policy host's address is not global
  backing_off,         // a fetch for this id failed less than five minutes ago
};

const char* category_name(StsError);
const char* describe(StsError);
// A bounded word for metrics and logs: "http-status".
const char* name(StsError error);

}  // namespace holdfast
