// smtp/tls/common_rules.h — what holds for every TLS context of the relay, client and server.
#pragma once

typedef struct ssl_ctx_st SSL_CTX;

namespace holdfast {

// No resumption of any kind, no renegotiation, no compression; truncation is an error; idle connections
// small.
void apply_common_rules(SSL_CTX* context);

}  // namespace holdfast
