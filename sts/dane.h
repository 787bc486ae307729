// sts/dane.h — which TLSA records can be used, and where they stand. RFC 7672, 7671 section 9. Pure: no I/O.
#pragma once

#include <string>
#include <vector>

#include "smtp/base/domain_name.h"
#include "smtp/dns/mx_lookup.h"
#include "smtp/dns/resolver.h"

namespace holdfast {

// Usages 2 (DANE-TA) and 3 (DANE-EE) with a known selector and data of the right form. Usages 0 and 1 are
// unusable for SMTP (RFC 7672 section 3.1.3) and must never reach OpenSSL, which would take them.
bool is_usable(const TlsaRecord& record);

// The usable records after digest agility (of one usage and selector only the strongest digest counts; full
// data always does), sorted, each once. Empty: TLS is still mandatory, without authentication.
std::vector<TlsaRecord> usable_records(const std::vector<TlsaRecord>& records);

// "3 1 1 0123ab…": as a zone file and a TLS report write it.
std::string tlsa_text(const TlsaRecord& record);

// The names to look TLSA up at, in order; empty when DANE does not apply since nothing on the way to the host
// is secure (RFC 7672 section 2.2.2).
std::vector<DomainName> tlsa_base_domains(const DomainName& host, const HostAddresses& addresses);

}  // namespace holdfast
