// tests/world/smtp_client.h — an SMTP client that sends exactly what a test says. Blocking.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/world/net.h"
#include "tests/world/tls_channel.h"

namespace holdfast::world {

struct SmtpReply {
  int code = 0;                    // 0: the connection ended
  std::vector<std::string> lines;  // without code and separator
  std::string text() const;        // the lines, joined by "\n"
  bool has_line(const std::string& beginning) const;
};

class SmtpClient {
 public:
  // Connects and reads the greeting. Throws std::system_error when nobody listens.
  explicit SmtpClient(const Endpoint& server);
  const SmtpReply& greeting() const { return greeting_; }

  SmtpReply command(const std::string& line);  // CRLF is added
  bool send(std::string_view bytes);           // exactly these
  SmtpReply read_reply();

  // STARTTLS and the handshake, without EHLO on either side. False when refused or failed.
  bool starttls(const ClientTls& setup = {});
  bool handshake(const ClientTls& setup = {});  // the handshake alone
  SmtpReply auth_plain(const std::string& user, const std::string& password);
  // Sends the text as DATA: dots are stuffed, the terminator added. The reply to the whole.
  SmtpReply data(const std::string& content);
  // EHLO, STARTTLS, EHLO, AUTH. The reply to the last step taken.
  SmtpReply log_in(const std::string& user, const std::string& password);
  // One whole message; the reply to its end, or the first refusal.
  SmtpReply submit(const std::string& from, const std::vector<std::string>& to, const std::string& content);

  const WireLog& wire() const { return *wire_.log(); }
  void hang_up() { wire_.stop(); }

 private:
  Wire wire_;
  std::unique_ptr<TlsChannel> tls_;
  Channel* channel_ = &wire_;
  std::string buffer_;
  SmtpReply greeting_;
};

std::string base64(std::string_view bytes);

}  // namespace holdfast::world
