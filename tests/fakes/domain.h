// tests/fakes/domain.h — the domain name that a test writes as text.
#pragma once

#include <string_view>

#include "smtp/base/domain_name.h"

namespace holdfast {

// Throws where the text is no domain name.
inline DomainName domain(std::string_view text) { return DomainName::parse(text).value(); }

}  // namespace holdfast
