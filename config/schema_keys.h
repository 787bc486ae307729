// config/schema_keys.h — the keys of each section, in three files. For schema.cc, which puts them together.
#pragma once

#include <vector>

#include "config/schema.h"

namespace holdfast {

// schema_submission.cc: what concerns those who submit
std::vector<Key> top_keys();
std::vector<Key> runtime_keys();
std::vector<Key> listener_keys();
std::vector<Key> tls_keys();
std::vector<Key> trust_keys();
std::vector<Key> auth_keys();
std::vector<Key> user_keys();
std::vector<Key> limits_keys();

// schema_delivery.cc: what concerns mail on its way out
std::vector<Key> dns_keys();
std::vector<Key> egress_keys();
std::vector<Key> delivery_keys();
std::vector<Key> source_keys();
std::vector<Key> route_keys();
std::vector<Key> exception_keys();
std::vector<Key> sts_keys();
std::vector<Key> dane_keys();

// schema_operation.cc: reports, the store and the running relay
std::vector<Key> tlsrpt_keys();
std::vector<Key> dkim_keys();
std::vector<Key> queue_keys();
std::vector<Key> admin_keys();
std::vector<Key> log_keys();
std::vector<Key> shutdown_keys();

}  // namespace holdfast
