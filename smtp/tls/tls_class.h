// smtp/tls/tls_class.h — what a message itself asks of TLS (RFC 8689).
#pragma once

#include <compare>

namespace holdfast {

struct TlsClass {
  bool requiretls = false;       // MAIL FROM … REQUIRETLS
  bool tls_required_no = false;  // header `TLS-Required: No` by a user who may; void when requiretls is set
  auto operator<=>(const TlsClass&) const = default;
};

}  // namespace holdfast
