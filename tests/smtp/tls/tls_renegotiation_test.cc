// Resumption and renegotiation, tried with OpenSSL's own calls.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/smtp/tls/tls_pair.h"

namespace holdfast {
namespace {

constexpr const char* kRawHost = "mx.example.com";

// What the other side might try with OpenSSL's own calls: two ends without streams, TLS 1.2.
class RawPair {
 public:
  RawPair(SSL_CTX* client_context, SSL_CTX* server_context, SSL_SESSION* session = nullptr)
      : client(SSL_new(client_context)), server(SSL_new(server_context)) {
    BIO *a = nullptr, *b = nullptr;
    BIO_new_bio_pair(&a, 0, &b, 0);
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    SSL_set_max_proto_version(client, TLS1_2_VERSION);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    if (session != nullptr) SSL_set_session(client, session);
    pump();
  }
  ~RawPair() {
    // An orderly end, or OpenSSL would not let the session be resumed.
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(server);
    ERR_clear_error();
  }
  RawPair(const RawPair&) = delete;
  void pump() {
    char octet = 0;
    for (int i = 0; i < 20; ++i) {
      SSL_do_handshake(client);
      SSL_do_handshake(server);
      SSL_read(client, &octet, 1);
      SSL_read(server, &octet, 1);
    }
    ERR_clear_error();
  }
  bool met() const { return SSL_is_init_finished(client) == 1 && SSL_is_init_finished(server) == 1; }

  SSL* client;
  SSL* server;
};

using RawContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
RawContext raw_client() { return {SSL_CTX_new(TLS_client_method()), SSL_CTX_free}; }

// A server context that resumes and renegotiates, unlike ours.
ServerContext careless_server() {
  auto made = server_with(TlsWorld::authority().leaf_for(kRawHost));
  SSL_CTX_clear_options(made->get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_options(made->get(), SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(made->get(), SSL_SESS_CACHE_SERVER);
  return made;
}

bool resumes(SSL_CTX* server) {
  const auto client = raw_client();
  SSL_SESSION* session = nullptr;
  {
    RawPair first(client.get(), server);
    EXPECT_TRUE(first.met());
    session = SSL_get1_session(first.client);
  }
  RawPair second(client.get(), server, session);
  EXPECT_TRUE(second.met());
  SSL_SESSION_free(session);
  return SSL_session_reused(second.client) == 1;
}

TEST(TlsServer, ResumesNothing) {
  EXPECT_TRUE(resumes(careless_server()->get())) << "else this test proves nothing";
  EXPECT_FALSE(resumes(server_with(TlsWorld::authority().leaf_for(kRawHost))->get()));
}

std::string finished_message(SSL* ssl) {
  char data[64];
  return std::string(data, SSL_get_finished(ssl, data, sizeof data));
}

// Whether a second handshake gets to its end, asked for by one side; looked at on the other.
bool renegotiates(SSL_CTX* client, SSL_CTX* server, bool by_client) {
  RawPair pair(client, server);
  EXPECT_TRUE(pair.met());
  SSL* asked = by_client ? pair.server : pair.client;
  const auto first = finished_message(asked);
  SSL_renegotiate(by_client ? pair.client : pair.server);
  pair.pump();
  const auto second = finished_message(asked);
  return !second.empty() && second != first;  // a refusal may wipe it
}

TEST(TlsRenegotiation, IsRefusedOnBothSides) {
  const auto client = raw_client();
  const auto careless = careless_server(), ours = server_with(TlsWorld::authority().leaf_for(kRawHost));
  TlsWorld world;
  EXPECT_TRUE(renegotiates(client.get(), careless->get(), true)) << "else this test proves nothing";
  EXPECT_FALSE(renegotiates(client.get(), ours->get(), true));
  EXPECT_TRUE(renegotiates(client.get(), careless->get(), false)) << "else this test proves nothing";
  EXPECT_FALSE(renegotiates(world.contexts->opportunistic(), careless->get(), false));
  EXPECT_FALSE(renegotiates(world.contexts->verified(), careless->get(), false));
}

}  // namespace
}  // namespace holdfast
