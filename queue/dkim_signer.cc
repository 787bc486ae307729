#include "queue/dkim_signer.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "queue/dkim_canonical.h"
#include "smtp/base/domain_name.h"
#include "smtp/wire/ascii.h"
#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

// Signed in each instance and once more: nobody can add another one (RFC 6376 section 8.15).
constexpr std::array<std::string_view, 13> kOversigned = {"from",
                                                          "to",
                                                          "cc",
                                                          "subject",
                                                          "date",
                                                          "message-id",
                                                          "reply-to",
                                                          "sender",
                                                          "in-reply-to",
                                                          "references",
                                                          "mime-version",
                                                          "content-type",
                                                          "content-transfer-encoding"};
// Signed where present. The last three make TLS reports believable (RFC 8460 section 3).
constexpr std::array<std::string_view, 8> kSigned = {
    "list-id",        "list-unsubscribe",  "list-unsubscribe-post", "list-post",
    "auto-submitted", "tls-report-domain", "tls-report-submitter",  "tls-required"};

constexpr auto kLookAgain = std::chrono::seconds(5);
constexpr std::size_t kMostKept = 10'000;  // domains; beyond it the memory starts afresh
constexpr std::size_t kFoldAt = 72;

// Breaks a long value of base64 so that no line exceeds what RFC 5322 recommends.
std::string folded(std::string_view value) {
  std::string out;
  for (; value.size() > kFoldAt; value.remove_prefix(kFoldAt)) {
    out += value.substr(0, kFoldAt);
    out += "\r\n\t ";
  }
  out += value;
  return out;
}

class KeyedSigning final : public MessageSigning {
 public:
  KeyedSigning(std::shared_ptr<const DkimKey> key, std::string domain, std::string selector, WallTime now)
      : key_(std::move(key)),
        domain_(std::move(domain)),
        selector_(std::move(selector)),
        now_(now),
        hash_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    good_ = EVP_DigestInit_ex(hash_.get(), EVP_sha256(), nullptr) == 1;
  }

  void body(std::string_view octets) override {
    canonical_.clear();
    body_.feed(octets, canonical_);
    add();
  }

  Result<std::string> finish(const std::vector<HeaderField>& fields) override {
    canonical_.clear();
    body_.finish(canonical_);
    add();
    std::array<unsigned char, 32> digest{};
    unsigned size = 0;
    if (!good_ || EVP_DigestFinal_ex(hash_.get(), digest.data(), &size) != 1)
      return Error(DkimError::crypto, "hashing the body");
    const std::string body_hash = base64_encode({reinterpret_cast<const char*>(digest.data()), size});

    std::string names;
    std::string input;
    choose(fields, names, input);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now_).time_since_epoch().count();
    std::string field = "DKIM-Signature: v=1; a=" + std::string(name(key_->algorithm())) +
                        "; c=relaxed/relaxed; d=" + domain_ + ";\r\n\ts=" + selector_ +
                        "; t=" + std::to_string(seconds) + ";\r\n\th=" + names + ";\r\n\tbh=" + body_hash +
                        ";\r\n\tb=";
    input += relaxed_field(field);
    auto signature = key_->sign(input);
    if (!signature) return signature.error();
    return field + folded(base64_encode(*signature)) + "\r\n";
  }

 private:
  void add() { good_ = good_ && EVP_DigestUpdate(hash_.get(), canonical_.data(), canonical_.size()) == 1; }

  // RFC 6376 section 5.4.2: instances of a name are signed from the bottom up; one that is not there counts
  // as the empty string.
  void choose(const std::vector<HeaderField>& fields, std::string& names, std::string& input) const {
    std::size_t line = 0;
    auto add_name = [&](std::string_view field) {
      if (!names.empty()) names += ':';
      if (line + field.size() > kFoldAt) {
        names += "\r\n\t ";
        line = 0;
      }
      names += field;
      line += field.size() + 1;
    };
    auto sign_all = [&](std::string_view wanted) {
      for (auto at = fields.rbegin(); at != fields.rend(); ++at) {
        if (!equal_ignoring_case(at->name, wanted)) continue;
        add_name(wanted);
        input += relaxed_field(at->raw) + "\r\n";
      }
    };
    for (const auto wanted : kOversigned) {
      sign_all(wanted);
      add_name(wanted);
    }
    for (const auto wanted : kSigned) sign_all(wanted);
  }

  std::shared_ptr<const DkimKey> key_;
  std::string domain_, selector_;
  WallTime now_;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash_;
  RelaxedBody body_;
  std::string canonical_;
  bool good_ = false;
};

}  // namespace

Result<std::shared_ptr<const DkimKey>> DkimSigner::find(const std::filesystem::path& path, WallTime now) {
  Kept kept;
  {
    const std::lock_guard lock(mutex_);
    if (kept_.size() > kMostKept) kept_.clear();
    if (const auto found = kept_.find(path.string()); found != kept_.end()) kept = found->second;
  }
  if (now >= kept.looked && now - kept.looked < kLookAgain) return kept.key;
  // The lock is not held meanwhile: other workers sign with what they have, or look as well.
  std::error_code code;
  const auto changed = std::filesystem::last_write_time(path, code);
  if (code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory) {
    kept = Kept();
  } else if (code) {
    return Error(DkimError::io, path.string() + ": " + code.message());
  } else if (!kept.key || kept.changed != changed) {
    auto key = DkimKey::load(path);
    if (!key) return key.error();
    kept.key = std::make_shared<const DkimKey>(std::move(*key));
    kept.changed = changed;
  }
  kept.looked = now;
  const std::lock_guard lock(mutex_);
  kept_[path.string()] = kept;
  return kept.key;
}

Result<std::unique_ptr<MessageSigning>> DkimSigner::begin(const DkimSettings& settings,
                                                          const std::string& domain, WallTime now) {
  // The domain becomes a part of a path: only what is a domain name may.
  const auto name = DomainName::parse(domain);
  if (!name) return std::unique_ptr<MessageSigning>();
  auto key = find(dkim_key_path(settings.key_dir, name->text(), settings.selector), now);
  if (!key) return key.error();
  if (!*key) return std::unique_ptr<MessageSigning>();
  return std::unique_ptr<MessageSigning>(
      std::make_unique<KeyedSigning>(std::move(*key), name->text(), settings.selector, now));
}

}  // namespace holdfast
