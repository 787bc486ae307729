// mta/report_signing_key.h — the DKIM key of the contact's domain, made at first start, for TLS reports.
#pragma once

#include "tlsrpt/report_key.h"

namespace holdfast {

class ReportSigningKey final : public ReportKey {
 public:
  // key_dir/DOMAIN/SELECTOR.pem as the signer reads it; an RSA key is made when there is none, since not
  // every receiver verifies Ed25519.
  Result<KeyRecord> record(const Settings& settings) override;
};

}  // namespace holdfast
