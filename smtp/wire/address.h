// smtp/wire/address.h — mailboxes and paths, RFC 5321 section 4.1.2, internationalised by RFC 6531.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/domain_name.h"
#include "smtp/base/result.h"

namespace holdfast {

inline constexpr std::size_t kMaxLocalPart = 64;  // RFC 5321 section 4.5.3.1.1
inline constexpr std::size_t kMaxPath = 256;      // section 4.5.3.1.3

// local-part@domain. The domain is compared and sent as A-labels; an address literal keeps its brackets.
class Mailbox {
 public:
  Mailbox() = default;  // empty

  // "user@example.com", "\"odd name\"@example.com", "user@[192.0.2.1]". A quoted local part is kept in its
  // shortest form ("\"user\"" is "user"), so that equal addresses compare equal. Error: BaseError::malformed,
  // the detail says what is wrong. Source routes are refused here; parse_path drops them.
  static Result<Mailbox> parse(std::string_view text);

  const std::string& local_part() const { return local_; }  // as on the wire, quoted where it must be
  const std::string& domain() const { return domain_; }     // A-labels in lower case, or "[192.0.2.1]"
  bool is_literal() const { return !domain_.empty() && domain_.front() == '['; }
  bool needs_smtputf8() const;  // the local part is not ASCII
  std::string text() const { return local_ + "@" + domain_; }
  bool empty() const { return domain_.empty() && local_.empty(); }
  auto operator<=>(const Mailbox&) const = default;

 private:
  friend Mailbox make_mailbox(std::string local, std::string domain);
  std::string local_;
  std::string domain_;
};

// Builds a mailbox from parts that are known to be valid (configuration, the store).
Mailbox make_mailbox(std::string local, std::string domain);

// "<user@example.com>", "<@relay:user@example.com>" (the source route is dropped, RFC 5321 section 4.1.1.3),
// "<>" gives an empty Mailbox when `null_allowed` (a reverse-path). Otherwise (a forward-path) "<Postmaster>"
// in any case gives local part "Postmaster", no domain.
Result<Mailbox> parse_path(std::string_view text, bool null_allowed);

}  // namespace holdfast
