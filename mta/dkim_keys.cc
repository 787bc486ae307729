#include "mta/dkim_keys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "mta/admin_json.h"
#include "smtp/base/domain_name.h"

namespace holdfast {
namespace {

struct Owner {
  uid_t user = 0;
  gid_t group = 0;
  std::filesystem::path below;
};

Owner nearest_owner(std::filesystem::path path) {
  struct stat info {};
  while (::stat(path.c_str(), &info) != 0 && path.has_relative_path()) path = path.parent_path();
  return {info.st_uid, info.st_gid, path};
}

Result<void> give_away(const std::filesystem::path& file, const Owner& owner) {
  if (::geteuid() != 0 || owner.user == 0) return {};
  for (auto path = file; path != owner.below && path.has_relative_path(); path = path.parent_path())
    if (::lchown(path.c_str(), owner.user, owner.group) != 0)
      return Error(DkimError::io, path.string() + ": " + std::strerror(errno));
  return {};
}

}  // namespace

Result<MadeKey> make_dkim_key(const DkimSettings& settings, const std::string& domain,
                              DkimAlgorithm algorithm) {
  MadeKey out;
  out.file = dkim_key_path(settings.key_dir, domain, settings.selector);
  const Owner owner = nearest_owner(out.file);
  auto key = DkimKey::load(out.file);
  if (!key && key.error().is(DkimError::no_key)) {
    key = DkimKey::generate(algorithm);
    if (!key) return key.error();
    const auto saved = key->save(out.file);
    // The relay makes the key for its reports by itself; it may just have done so.
    out.made = !(!saved && saved.error().is(DkimError::exists));
    if (!saved && out.made) return saved.error();
    if (!out.made) key = DkimKey::load(out.file);
  }
  if (!key) return key.error();
  if (out.made) {
    if (auto given = give_away(out.file, owner); !given) return given.error();
  }
  auto record = key->record();
  if (!record) return record.error();
  out.key.domain = domain;
  out.key.selector = settings.selector;
  out.key.record = std::move(*record);
  return out;
}

bool is_selector(const std::string& text) {
  return !text.empty() && DomainName::parse(text) && text.find('/') == std::string::npos &&
         text.front() != '.';
}

std::string key_json(const OwnKey& key, bool made) {
  Fields fields;
  fields.add("schema", kAdminSchema).add("domain", key.domain).add("selector", key.selector);
  fields.add("in_use", key.in_use).add("made", made).add("record", key.record);
  fields.add("zone", dkim_zone_line(key.domain, key.selector, key.record));
  return "{" + fields.json() + "}";
}

std::string finding_json(const OwnDnsFinding& finding) {
  Fields fields;
  fields.add("schema", kAdminSchema).add("severity", name(finding.severity));
  fields.add("record", finding.record).add("text", finding.text).add("remedy", finding.remedy);
  return "{" + fields.json() + "}";
}

}  // namespace holdfast
