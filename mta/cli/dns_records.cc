#include "mta/cli/dns_records.h"

#include <algorithm>

#include "config/network.h"

namespace holdfast {
namespace {

bool is_v4(const std::string& address) { return address.find(':') == std::string::npos; }

std::string line(const std::string& name, const char* type, const std::string& data) {
  return name + " IN " + type + " " + data + "\n";
}

std::string host_lines(const DnsPlan& plan) {
  const std::string host = plan.hostname + ".";
  std::string out = "; the relay itself; the PTR is set by whoever owns the address\n";
  if (plan.addresses.empty())
    return out + "; " + host + " IN A ...  (say --address to have these lines filled in)\n";
  for (const std::string& address : plan.addresses) out += line(host, is_v4(address) ? "A" : "AAAA", address);
  for (const std::string& address : plan.addresses) out += line(reverse_name(address), "PTR", host);
  // Bounces leave with the null sender; SPF then looks at the EHLO name (RFC 7208 section 2.4).
  return out + line(host, "TXT", txt_data("v=spf1 a -all"));
}

std::string sts_lines(const DnsPlan& plan, const std::string& domain) {
  if (plan.mx.empty())
    return "; MTA-STS for " + domain + ": say --mx to have its record and policy filled in\n";
  std::string policy = "; to serve at https://mta-sts." + domain +
                       "/.well-known/mta-sts.txt (testing first, then enforce):\n" +
                       ";   version: STSv1\n;   mode: testing\n";
  for (const std::string& mx : plan.mx) policy += ";   mx: " + mx + "\n";
  policy += ";   max_age: 604800\n";
  return line("_mta-sts." + domain + ".", "TXT", txt_data("v=STSv1; id=" + plan.sts_id)) + policy;
}

std::string domain_lines(const DnsPlan& plan, const std::string& domain) {
  std::string out = "\n; " + domain + "; where it has an SPF record, add only the a: to that\n";
  out += line(domain + ".", "TXT", txt_data("v=spf1 a:" + plan.hostname + " -all"));
  for (const auto& [owner, record] : plan.dkim_keys)
    if (owner == domain) out += line(plan.selector + "._domainkey." + domain + ".", "TXT", txt_data(record));
  out += line("_smtp._tls." + domain + ".", "TXT", txt_data("v=TLSRPTv1; rua=mailto:" + plan.report_address));
  return out + sts_lines(plan, domain);
}

}  // namespace

std::string txt_data(const std::string& text) {
  constexpr std::size_t longest = 255;
  std::string out;
  for (std::size_t at = 0; at < text.size() || at == 0; at += longest)
    out += (at == 0 ? "\"" : " \"") + text.substr(at, longest) + "\"";
  return out;
}

std::string reverse_name(const std::string& address) {
  const auto ip = parse_ip(address);
  if (!ip) return "";
  std::string out;
  if (is_v4(address)) {
    for (std::size_t i = 16; i-- > 12;) out += std::to_string((*ip)[i]) + ".";
    return out + "in-addr.arpa.";
  }
  static constexpr char hex[] = "0123456789abcdef";
  for (std::size_t i = 16; i-- > 0;) {
    out += {hex[(*ip)[i] & 15], '.', hex[(*ip)[i] >> 4], '.'};
  }
  return out + "ip6.arpa.";
}

std::string zone_lines(const DnsPlan& plan) {
  std::string out = host_lines(plan);
  for (const std::string& domain : plan.domains) out += domain_lines(plan, domain);
  return out;
}

}  // namespace holdfast
