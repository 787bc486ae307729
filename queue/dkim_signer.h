// queue/dkim_signer.h — DKIM signatures, RFC 6376 (RSA-SHA256) and RFC 8463 (Ed25519-SHA256),
// relaxed/relaxed.
//
// Procedure: begin() when the author's domain is known, body() for the octets behind the empty line as they
// pass by, finish() with the header fields. A message is hashed while it is stored, never read a second time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
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

}  // namespace holdfast
