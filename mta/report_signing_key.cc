#include "mta/report_signing_key.h"

#include "queue/dkim_key.h"
#include "smtp/base/domain_name.h"
#include "tlsrpt/report_mail.h"

namespace holdfast {

Result<KeyRecord> ReportSigningKey::record(const Settings& settings) {
  const auto domain = DomainName::parse(submitter_of(settings.tlsrpt.contact));
  if (!domain) return domain.error();
  const auto path = dkim_key_path(settings.dkim.key_dir, domain->text(), settings.dkim.selector);
  auto key = DkimKey::load(path);
  if (!key && key.error().is(DkimError::no_key)) {
    key = DkimKey::generate(DkimAlgorithm::rsa_sha256);
    if (!key) return key.error();
    if (auto saved = key->save(path); !saved) return saved.error();
  }
  if (!key) return key.error();
  auto value = key->record();
  if (!value) return value.error();
  KeyRecord record;
  record.name = settings.dkim.selector + "._domainkey." + domain->text();
  record.zone_line = dkim_zone_line(domain->text(), settings.dkim.selector, *value);
  record.value = std::move(*value);
  return record;
}

}  // namespace holdfast
