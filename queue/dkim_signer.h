// queue/dkim_signer.h — DKIM signatures, RFC 6376 (RSA-SHA256) and RFC 8463 (Ed25519-SHA256),
// relaxed/relaxed.
//
// Procedure: begin() when the author's domain is known, body() for the octets behind the empty line as they
// pass by, finish() with the header fields. A message is hashed while it is stored, never read a second time.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "queue/dkim_key.h"
#include "queue/header_section.h"
#include "smtp/base/result.h"

namespace holdfast {

// The signature of one message in the making.
class MessageSigning {
 public:
  virtual ~MessageSigning() = default;
  virtual void body(std::string_view octets) = 0;
  // The DKIM-Signature field, folded, CRLF at its end. `fields` from top to bottom as they will be sent.
  virtual Result<std::string> finish(const std::vector<HeaderField>& fields) = 0;
};

class MessageSigner {
 public:
  virtual ~MessageSigner() = default;
  // Null: there is no key for the domain (and the caller decides what that means). Error: there is one, and
  // it cannot be used. Any worker.
  virtual Result<std::unique_ptr<MessageSigning>> begin(const DkimSettings& settings,
                                                        const std::string& domain, WallTime now) = 0;
};

// Signs with key_dir/DOMAIN/SELECTOR.pem. Keys are kept in memory; a new or changed file is noticed within
// seconds.
class DkimSigner final : public MessageSigner {
 public:
  Result<std::unique_ptr<MessageSigning>> begin(const DkimSettings& settings, const std::string& domain,
                                                WallTime now) override;

 private:
  struct Kept {
    std::shared_ptr<const DkimKey> key;  // null: no file
    std::filesystem::file_time_type changed{};
    WallTime looked{};
  };
  Result<std::shared_ptr<const DkimKey>> find(const std::filesystem::path& path, WallTime now);

  std::mutex mutex_;                  // never held across I/O
  std::map<std::string, Kept> kept_;  // by path; bounded
};

}  // namespace holdfast
