// queue/delivery_connect.h — from an address to a session that may carry mail.
//
// Procedure: connect; TLS at once where the route says so; greeting and EHLO; STARTTLS where it is offered or
// required; check what was proved against the requirement; AUTH where the route has a user, and never to a
// server that has not proved its name. Whatever was not met ends the connection here: the caller gets a
// session that satisfies its requirement, or the reason why not.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "queue/connection_pool.h"
#include "smtp/client/connector.h"
#include "smtp/tls/tls_context.h"

namespace holdfast {

struct OpenRequest {
  ConnectionKey key;
  bool operators_word = false;
  std::optional<IpBytes> source;
  std::string our_name;
  TlsRequirement requirement;
  bool in_clear = false;  // TLS was tried and failed; only where requirement.cleartext_allowed
  std::string username, password;
  std::shared_ptr<const TlsClientContexts> contexts;
  // RFC 5321 names no limit for connecting; the reply to SYN comes at once or, nearly always, never.
  Duration connect_limit = std::chrono::seconds(30);
  ClientTimeouts timeouts;
};

struct OpenResult {
  std::unique_ptr<Connection> connection;  // nullptr: one of the next three says why
  std::optional<Error> broken;
  std::optional<Reply> refused;
  // Why there is no TLS, or not the one required. With a connection: it goes on in clear, as allowed.
  TlsFailure tls_failure;
  Stage stage = Stage::connect;
  bool is_session = false;  // a handshake or a refusal before it took place: counts in TLS reports
  TlsEvidence evidence;
  std::string helo;
  std::string local_ip;
  std::vector<std::string> transcript;
};

asio::awaitable<OpenResult> open_connection(Connector& connector, Clock& clock, OpenRequest request);

}  // namespace holdfast
