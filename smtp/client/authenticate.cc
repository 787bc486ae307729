// AUTH as a client, RFC 4954: PLAIN (RFC 4616), else LOGIN. The session's TLS protects both.
#include "config/secret.h"
#include "smtp/base/base_error.h"
#include "smtp/client/client_error.h"
#include "smtp/client/session_impl.h"
#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

bool offers(const Extensions& peer, std::string_view mechanism) {
  return std::find(peer.auth.begin(), peer.auth.end(), mechanism) != peer.auth.end();
}

}  // namespace

asio::awaitable<Result<Reply>> ClientSession::authenticate(std::string username, std::string password) {
  if (!impl_->under_tls) co_return Error(BaseError::not_permitted, "AUTH without TLS");
  if (!usable()) co_return Error(ClientError::not_usable, "closed, or left by the peer");
  if (username.find('\0') != std::string::npos || password.find('\0') != std::string::npos) {
    co_return Error(BaseError::malformed, "credentials may not hold NUL");
  }
  auto& talk = impl_->talk;
  talk.limit(impl_->timeouts.mail);
  std::optional<Result<Reply>> reply;
  std::string secret = '\0' + username + '\0' + password;
  const WipeAtEnd secret_wiped(secret), password_wiped(password);
  talk.transcript().hide(base64_encode(secret));
  talk.transcript().hide(base64_encode(password));
  talk.transcript().hide(password);
  if (offers(impl_->extensions, "PLAIN")) {
    reply = co_await talk.ask("AUTH PLAIN " + base64_encode(secret), "AUTH PLAIN (credentials)");
  } else if (offers(impl_->extensions, "LOGIN")) {
    reply = co_await talk.ask("AUTH LOGIN");
    if (*reply && (*reply)->intermediate()) reply = co_await talk.ask(base64_encode(username), "(user name)");
    if (*reply && (*reply)->intermediate()) reply = co_await talk.ask(base64_encode(password), "(password)");
  } else {
    co_return Error(ClientError::no_mechanism, "neither PLAIN nor LOGIN is offered");
  }
  // The reply goes into the log and the history: a server that echoes must not bring the password there.
  if (*reply)
    for (std::string& line : (*reply)->text) line = talk.transcript().without_secrets(line);
  if (*reply && (*reply)->intermediate()) {
    close();
    co_return Error(ClientError::unexpected_reply, "AUTH: " + (*reply)->summary());
  }
  talk.transcript().mark_opening();
  co_return std::move(*reply);
}

}  // namespace holdfast
