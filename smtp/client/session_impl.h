// smtp/client/session_impl.h — the state of a ClientSession, shared by the files that implement it.
#pragma once

#include "smtp/client/client_session.h"
#include "smtp/client/conversation.h"

namespace holdfast {

struct ClientSession::Impl {
  Impl(std::unique_ptr<Stream> stream, Clock& clock, std::string our_name, ClientTimeouts times);

  // EHLO and what follows from its reply. With `may_fall_back`, a 5xx is followed by HELO.
  asio::awaitable<Result<Reply>> introduce(bool may_fall_back);
  void take_ehlo(const Reply& reply);
  bool may_send_at_once(const OutgoingMessage& message) const;

  Peer local, remote;
  Conversation talk;
  std::string name;
  ClientTimeouts timeouts;
  Extensions extensions;
  TlsEvidence evidence;
  std::string peer_helo;
  bool under_tls = false;
  bool introduced = false;  // EHLO or HELO was accepted
  bool unfinished = false;  // a transaction was left open: RSET goes first
  bool at_once = false;     // content may go with the envelope
  bool proven = false;      // the last transaction ended with the message taken
};

}  // namespace holdfast
