#include "queue/delivery_connect.h"

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

// Fills in what is known of a session that ends here or goes on.
void describe_session(const ClientSession& session, OpenResult& result) {
  result.evidence = session.evidence();
  result.helo = session.peer_helo();
  result.transcript = session.transcript();
}

}  // namespace

asio::awaitable<OpenResult> open_connection(Connector& connector, Clock& clock, OpenRequest request) {
  const ClientTimeouts timeouts = request.timeouts;
  const TlsRequirement& need = request.requirement;
  OpenResult result;

  ConnectTarget target;
  target.ip = request.key.ip;
  target.port = request.key.port;
  target.operators_word = request.operators_word;
  target.source = request.source;
  auto connected = co_await connector.connect(target, request.connect_limit);
  if (!connected) {
    result.broken = connected.error();
    co_return result;
  }
  std::unique_ptr<Stream> stream = std::move(*connected);
  result.local_ip = stream->local().text();

  if (request.key.implicit_tls) {
    result.stage = Stage::starttls;
    result.is_session = true;
    stream->set_deadline(clock.now() + timeouts.starttls);
    TlsClientOptions options;
    options.requirement = need;
    auto handshake = co_await tls_connect(std::move(stream), request.contexts, options);
    if (!handshake.stream) {
      result.tls_failure = handshake.failure;
      result.evidence = std::move(handshake.evidence);
      co_return result;
    }
    result.evidence = handshake.stream->evidence();
    stream = std::move(handshake.stream);
  }

  auto connection = std::make_unique<Connection>();
  connection->key = request.key;
  connection->opened = clock.now();
  connection->clear_fallback = request.in_clear;
  connection->session = std::make_unique<ClientSession>(std::move(stream), clock, request.our_name, timeouts);
  ClientSession& session = *connection->session;
  session.send_content_at_once(true);

  result.stage = Stage::greeting;
  auto opened = co_await session.open();
  if (!opened || !opened->accepted()) {
    describe_session(session, result);
    if (opened) {
      result.refused = *opened;
    } else {
      result.broken = opened.error();
    }
    session.close();
    co_return result;
  }

  const bool upgrade = !request.key.implicit_tls && !request.in_clear;
  if (upgrade) {
    result.stage = Stage::starttls;
    result.is_session = true;
    auto started = co_await session.start_tls(request.contexts, need);
    if (started.refused) {
      describe_session(session, result);
      result.stage = Stage::ehlo;
      result.refused = std::move(started.refused);
      session.close();
      co_return result;
    }
    result.tls_failure = std::move(started.failure);
    const bool goes_on = !result.tls_failure || (result.tls_failure.error == TlsError::not_offered &&
                                                 need.cleartext_allowed && session.usable());
    if (!goes_on) {
      describe_session(session, result);
      session.close();
      co_return result;
    }
  }
  // Whatever led here, the evidence of this very connection decides (invariants 13 and 14).
  if (auto failure = unmet(session.evidence(), need)) {
    describe_session(session, result);
    result.stage = Stage::starttls;
    result.tls_failure = std::move(failure);
    session.close();
    co_return result;
  }

  if (!request.username.empty()) {
    result.stage = Stage::auth;
    // Whatever the requirement was: who has not proved a name gets no password.
    const TlsEvidence& proved = session.evidence();
    if (!proved.strict || proved.resumed || (!proved.pkix && !proved.dane)) {
      describe_session(session, result);
      result.broken =
          Error(BaseError::not_permitted, "the server has not proved its name: no password for it");
      session.close();
      co_return result;
    }
    auto reply = co_await session.authenticate(request.username, request.password);
    if (!reply || !reply->accepted()) {
      describe_session(session, result);
      if (reply) {
        result.refused = *reply;
      } else {
        result.broken = reply.error();
      }
      session.close();
      co_return result;
    }
  }
  describe_session(session, result);
  result.connection = std::move(connection);
  co_return result;
}

}  // namespace holdfast
