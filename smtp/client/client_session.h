// smtp/client/client_session.h — one connection to one MX, from the greeting to QUIT.
//
// Procedure: open() reads the greeting and says EHLO; start_tls() upgrades, verifies and says EHLO again
// (what the peer said before TLS is forgotten); send() runs one mail transaction, pipelined where offered;
// quit() says goodbye. The session knows no policy: it meets the TlsRequirement it is given, or reports why
// not. A reply of the peer is a value. An Error means that the conversation broke: the session is then
// closed, and nothing that was not acknowledged may be taken as accepted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smtp/base/body_source.h"
#include "smtp/base/stream.h"
#include "smtp/message_sink.h"
#include "smtp/tls/tls_stream.h"
#include "smtp/wire/reply.h"

namespace holdfast {

// RFC 5321 section 4.5.3.2: minima.
struct ClientTimeouts {
  Duration greeting = std::chrono::minutes(5);
  Duration ehlo = std::chrono::minutes(5);
  Duration starttls = std::chrono::minutes(2);  // command, reply and handshake
  Duration mail = std::chrono::minutes(5);
  Duration rcpt = std::chrono::minutes(5);
  Duration data_start = std::chrono::minutes(2);
  Duration data_block = std::chrono::minutes(3);
  Duration data_end = std::chrono::minutes(10);
  Duration quit = std::chrono::seconds(10);
};

// What the latest EHLO reply offered.
struct Extensions {
  bool starttls = false, pipelining = false, eight_bit = false, smtputf8 = false, chunking = false,
       dsn = false;
  bool enhanced_status = false, requiretls = false;
  bool size_offered = false;
  std::uint64_t size = 0;         // 0 = no limit told
  std::vector<std::string> auth;  // mechanisms, upper case
  std::size_t rcpt_max = 0;       // RFC 9422 LIMITS RCPTMAX, 0 = not told
  std::size_t mail_max = 0;       // MAILMAX
  static Extensions parse(const Reply& ehlo);
};

struct OutgoingRecipient {
  Mailbox address;
  RecipientDsn dsn;
};

struct OutgoingMessage {
  Mailbox reverse_path;
  std::vector<OutgoingRecipient> recipients;
  std::string envelope_id;
  DsnReturn dsn_return = DsnReturn::unspecified;
  BodyType body = BodyType::seven_bit;
  bool smtputf8 = false;
  bool requiretls = false;
  std::uint64_t size = 0;  // octets of prefix and body
  std::string prefix;      // header fields to send before the body, each ending in CRLF
};

enum class Stage { connect, greeting, ehlo, starttls, auth, mail, rcpt, data, body, final_dot, quit };
const char* name(Stage stage);

struct RecipientResult {
  Reply reply;  // of RCPT if refused there, else of MAIL, DATA or the final dot
  Stage stage = Stage::rcpt;
};

struct TransactionResult {
  // One per OutgoingMessage::recipients, in their order. reply.code 0: no final answer came (only with
  // `broken`).
  std::vector<RecipientResult> recipients;
  // Set when the connection broke or was cut; `recipients` then holds only what was answered before.
  std::optional<Error> broken;
  // The connection broke between the final dot and its reply: the message may have been taken (invariant 8).
  bool in_doubt = false;
};

// Both empty: the requirement is met and the peer took EHLO.
struct StartTlsResult {
  TlsFailure failure;
  // The peer's reply to EHLO under TLS, where it refuses: TLS itself did not fail.
  std::optional<Reply> refused;
};

class ClientSession {
 public:
  // `clock` outlives the session. `our_name` is said in EHLO. `stream` may be a TlsStream (implicit TLS).
  ClientSession(std::unique_ptr<Stream> stream, Clock& clock, std::string our_name, ClientTimeouts timeouts);
  ~ClientSession();

  // The greeting, or the reply to EHLO if the greeting was accepted. EHLO refused with 5xx: HELO is tried.
  asio::awaitable<Result<Reply>> open();

  // Requires extensions().starttls; otherwise TlsError::not_offered without a byte sent. On failure the
  // session is closed, except for TlsError::not_offered; evidence() then holds what the handshake showed,
  // with the PKIX and the DANE failure each on its own. It is closed, too, where the peer refuses EHLO.
  asio::awaitable<StartTlsResult> start_tls(std::shared_ptr<const TlsClientContexts> contexts,
                                            TlsRequirement requirement);

  // RFC 4954 with PLAIN, else LOGIN. Only after TLS; BaseError::not_permitted otherwise.
  asio::awaitable<Result<Reply>> authenticate(std::string username, std::string password);

  // The caller has checked the extensions that the message needs. `body` is not read when no recipient is
  // taken.
  asio::awaitable<TransactionResult> send(OutgoingMessage message, BodySource& body);

  // From the second message on, small content goes out in one flight with its envelope where the peer offers
  // PIPELINING and CHUNKING: a round trip less. Off unless asked for.
  void send_content_at_once(bool allowed);

  asio::awaitable<void> quit();
  void close();

  bool usable() const;  // open, idle, and the peer said no 421
  const Extensions& extensions() const;
  const TlsEvidence& evidence() const;   // version none while in clear
  const std::string& peer_helo() const;  // the name in the EHLO reply, sanitised
  Peer remote() const;
  Peer local() const;
  // The conversation so far, one line per command and reply, without content and credentials; bounded.
  const std::vector<std::string>& transcript() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
