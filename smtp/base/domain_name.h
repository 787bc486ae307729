// smtp/base/domain_name.h — a domain name in the one form that the relay compares and stores:
// A-labels, lower case, no trailing dot (RFC 5890, RFC 8461 section 4.1).
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "smtp/base/result.h"

namespace holdfast {

class DomainName {
 public:
  DomainName() = default;  // empty: no name

  // Takes ASCII or UTF-8 (converted by IDNA 2008), any case, with or without a trailing dot. Labels of
  // letters, digits, hyphens and (as DNS has them) underscores; 1 to 63 octets each, 253 in all. Anything
  // else, and what looks like an IPv4 address, is BaseError::malformed with a detail naming the cause.
  static Result<DomainName> parse(std::string_view text);

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  // True for "a.b.example" under "b.example" and for the name itself.
  bool is_within(const DomainName& ancestor) const;
  auto operator<=>(const DomainName&) const = default;

 private:
  explicit DomainName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace holdfast

template <>
struct std::hash<holdfast::DomainName> {
  std::size_t operator()(const holdfast::DomainName& name) const noexcept {
    return std::hash<std::string>()(name.text());
  }
};
