#include "sts/sts_error.h"

namespace holdfast {

const char* category_name(StsError) { return "sts"; }

const char* describe(StsError error) {
  switch (error) {
    case StsError::record_invalid: return "the _mta-sts record is not valid";
    case StsError::policy_invalid: return "what the policy host serves is not a policy";
    case StsError::dns_failed: return "the host does not resolve";
    case StsError::connect_failed: return "no connection to the host";
    case StsError::tls_failed: return "the host failed TLS";
    case StsError::http_status: return "the host answered with a status other than 200";
    case StsError::http_media_type: return "the answer is not text/plain";
    case StsError::http_protocol: return "the answer is not complete, plain HTTP";
    case StsError::too_large: return "the answer is too large";
    case StsError::timed_out: return "the time for the whole exchange ran out";
    case StsError::not_permitted: return "the host's address may not be reached (egress.allow)";
    case StsError::backing_off: return "an earlier attempt failed; the next is not due yet";
  }
  return "unknown error";
}

const char* name(StsError error) {
  switch (error) {
    case StsError::record_invalid: return "record-invalid";
    case StsError::policy_invalid: return "policy-invalid";
    case StsError::dns_failed: return "dns";
    case StsError::connect_failed: return "connect";
    case StsError::tls_failed: return "tls";
    case StsError::http_status: return "http-status";
    case StsError::http_media_type: return "media-type";
    case StsError::http_protocol: return "http-protocol";
    case StsError::too_large: return "too-large";
    case StsError::timed_out: return "timeout";
    case StsError::not_permitted: return "not-permitted";
    case StsError::backing_off: return "backing-off";
  }
  return "unknown";
}

}  // namespace holdfast
