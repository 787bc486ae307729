// queue/dsn.h — delivery status notifications: RFC 3464, 3461, 6522, 6533. Pure: text in, an Accept out.
//
// A bounce goes to the message's reverse-path from the null sender, shares the original's body in the store,
// and is accepted in the same batch that ends its recipients. The null sender never gets one (invariant 33):
// an undeliverable bounce goes to the postmaster once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "queue/store.h"
#include "smtp/base/random.h"
#include "smtp/wire/reply.h"

namespace holdfast {

enum class DsnKind { failed, delayed, relayed, delivered };

struct DsnRecipient {
  Mailbox address;
  RecipientDsn dsn;
  std::string status;       // enhanced code: "5.1.1"
  std::string diagnostic;   // "smtp; 550 5.1.1 no such user", sanitised; "" = none
  std::string remote_mta;   // host name of the MX, "" = none was reached
  std::string explanation;  // plain words for the sender: which MX, which policy, which check failed
  std::string
      policy;  // machine-readable cause for X-Holdfast-TLS-Policy: "sts enforce mx-not-in-policy", "" = none
  std::optional<WallTime> last_attempt;
};

struct DsnRequest {
  DsnKind kind = DsnKind::failed;
  std::shared_ptr<const MessageMeta> original;
  std::string original_header;           // Store::read_header of the original
  std::vector<DsnRecipient> recipients;  // those of this kind and event, any NOTIFY: build_dsn() filters
  std::string hostname;                  // Reporting-MTA
  std::string postmaster;
  WallTime now{};
  WallTime will_retry_until{};  // delayed
  Duration bounce_expire{};
};

// The notification for those recipients whose NOTIFY asks for it; nullopt when there is none to send.
// REQUIRETLS messages return headers only and lose REQUIRETLS (RFC 8689 section 5). RET=HDRS, and FULL or
// unspecified for failures as RFC 3461 section 4.3 says; delays and relays return headers only.
std::optional<Accept> build_dsn(const DsnRequest& request, Random& random);

}  // namespace holdfast
