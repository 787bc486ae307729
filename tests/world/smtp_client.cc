#include "tests/world/smtp_client.h"

#include <algorithm>

namespace holdfast::world {

std::string SmtpReply::text() const {
  std::string all;
  for (const auto& line : lines) all += (all.empty() ? "" : "\n") + line;
  return all;
}

bool SmtpReply::has_line(const std::string& beginning) const {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.starts_with(beginning); });
}

std::string base64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

SmtpClient::SmtpClient(const Endpoint& server) : wire_(connect_tcp(server)) { greeting_ = read_reply(); }

bool SmtpClient::send(std::string_view bytes) { return channel_->write(bytes); }

SmtpReply SmtpClient::command(const std::string& line) {
  if (!send(line + "\r\n")) return {};
  return read_reply();
}

SmtpReply SmtpClient::read_reply() {
  SmtpReply reply;
  for (;;) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      char data[4096];
      const std::size_t n = channel_->read(data, sizeof data);
      if (n == 0) return {};
      buffer_.append(data, n);
    }
    const std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    if (line.size() < 3) return {};
    reply.code = std::stoi(line.substr(0, 3));
    reply.lines.push_back(line.size() > 4 ? line.substr(4) : "");
    if (line.size() < 4 || line[3] != '-') return reply;
  }
}

bool SmtpClient::starttls(const ClientTls& setup) {
  return command("STARTTLS").code == 220 && handshake(setup);
}

bool SmtpClient::handshake(const ClientTls& setup) {
  std::string error;
  tls_ = TlsChannel::connect(wire_, setup, error);
  if (!tls_) return false;
  channel_ = tls_.get();
  return true;
}

SmtpReply SmtpClient::auth_plain(const std::string& user, const std::string& password) {
  return command("AUTH PLAIN " + base64(std::string(1, '\0') + user + std::string(1, '\0') + password));
}

SmtpReply SmtpClient::data(const std::string& content) {
  const auto go = command("DATA");
  if (go.code != 354) return go;
  std::string stuffed = content.starts_with('.') ? "." : "";
  for (std::size_t i = 0; i < content.size(); ++i) {
    stuffed += content[i];
    if (content[i] == '\n' && i + 1 < content.size() && content[i + 1] == '.') stuffed += '.';
  }
  if (!send(stuffed + (content.ends_with("\r\n") ? ".\r\n" : "\r\n.\r\n"))) return {};
  return read_reply();
}

SmtpReply SmtpClient::log_in(const std::string& user, const std::string& password) {
  auto reply = command("EHLO client.test");
  if (reply.code != 250) return reply;
  if (!starttls()) return {};
  reply = command("EHLO client.test");
  if (reply.code != 250) return reply;
  return auth_plain(user, password);
}

SmtpReply SmtpClient::submit(const std::string& from, const std::vector<std::string>& to,
                             const std::string& content) {
  auto reply = command("MAIL FROM:<" + from + ">");
  if (reply.code != 250) return reply;
  for (const auto& recipient : to) {
    reply = command("RCPT TO:<" + recipient + ">");
    if (reply.code / 100 != 2) return reply;
  }
  return data(content);
}

}  // namespace holdfast::world
