#include "tests/world/https_server.h"

#include <algorithm>
#include <cctype>
#include <optional>

namespace holdfast::world {
namespace {

constexpr Milliseconds kHangFor{600000};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Buffered reading of one HTTP/1.1 connection.
class Reader {
 public:
  explicit Reader(Channel& channel) : channel_(channel) {}

  std::optional<std::string> line() {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (!more()) return std::nullopt;
    }
    std::string text = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return text;
  }
  bool take(std::size_t size, std::string& out) {
    while (buffer_.size() < size) {
      if (!more()) return false;
    }
    out = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return true;
  }

 private:
  bool more() {
    char data[8192];
    const std::size_t n = channel_.read(data, sizeof data);
    buffer_.append(data, n);
    return n > 0;
  }
  Channel& channel_;
  std::string buffer_;
};

std::optional<HttpRequest> read_request(Reader& reader) {
  HttpRequest request;
  request.protocol = "http/1.1";
  const auto first = reader.line();
  if (!first) return std::nullopt;
  const auto space = first->find(' ');
  const auto second = first->find(' ', space + 1);
  if (space == std::string::npos || second == std::string::npos) return std::nullopt;
  request.method = first->substr(0, space);
  request.path = first->substr(space + 1, second - space - 1);
  std::size_t length = 0;
  for (;;) {
    const auto header = reader.line();
    if (!header) return std::nullopt;
    if (header->empty()) break;
    const auto colon = header->find(':');
    if (colon == std::string::npos) return std::nullopt;
    auto value = header->substr(colon + 1);
    value.erase(0, value.find_first_not_of(" \t"));
    const auto name = lower(header->substr(0, colon));
    if (name == "host") request.authority = value;
    if (name == "content-length") length = std::stoul(value);
    request.headers.emplace_back(name, value);
  }
  if (!reader.take(length, request.body)) return std::nullopt;
  return request;
}

std::string head_of(const HttpReply& reply) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " As Told\r\n";
  if (!reply.content_type.empty()) head += "Content-Type: " + reply.content_type + "\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  head += reply.chunked ? "Transfer-Encoding: chunked\r\n"
                        : "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
  return head + "\r\n";
}

std::string chunk(const std::string& data) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

}  // namespace

HttpsServer::HttpsServer(const Authority& authority) : authority_(authority) {
  CertificateSpec spec;
  spec.dns_names = {"unknown.invalid"};
  stranger_ = self_signed(spec);
  listener_ =
      std::make_unique<Listener>(Endpoint{"127.0.0.1", 0}, [this](Wire& wire) { serve_connection(wire); });
}

HttpsServer::~HttpsServer() { listener_.reset(); }

HttpsServer::Host& HttpsServer::host(const std::string& name) {
  auto& found = hosts_[name];
  if (!found.identity) found.identity = std::make_shared<const Identity>(authority_.issue(name));
  return found;
}

void HttpsServer::serve(const std::string& name, HttpReply reply) {
  const std::lock_guard lock(mutex_);
  host(name).reply = std::move(reply);
}

void HttpsServer::set_identity(const std::string& name, Identity identity) {
  const std::lock_guard lock(mutex_);
  host(name).identity = std::make_shared<const Identity>(std::move(identity));
}

void HttpsServer::set_alpn(std::vector<std::string> protocols) {
  const std::lock_guard lock(mutex_);
  alpn_ = std::move(protocols);
}

void HttpsServer::set_tls(const std::string& min_version, const std::string& max_version) {
  const std::lock_guard lock(mutex_);
  min_version_ = min_version;
  max_version_ = max_version;
}

std::vector<HttpRequest> HttpsServer::requests(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  std::vector<HttpRequest> found;
  for (const auto& request : requests_) {
    if (request.host == name) found.push_back(request);
  }
  return found;
}

std::size_t HttpsServer::failed_handshakes() const {
  const std::lock_guard lock(mutex_);
  return failed_handshakes_;
}

HttpReply HttpsServer::reply_to(HttpRequest request) {
  const std::lock_guard lock(mutex_);
  const auto found = hosts_.find(request.host);
  requests_.push_back(std::move(request));
  if (found != hosts_.end()) return found->second.reply;
  HttpReply unknown;
  unknown.status = 421;
  return unknown;
}

void HttpsServer::serve_connection(Wire& wire) {
  ServerTls setup;
  std::shared_ptr<const Identity> shown;  // keeps it alive for the handshake
  setup.choose = [this, &shown](const std::string& name) -> const Identity* {
    const std::lock_guard lock(mutex_);
    const auto found = hosts_.find(name);
    if (found == hosts_.end()) return nullptr;
    shown = found->second.identity;
    return shown.get();
  };
  {
    const std::lock_guard lock(mutex_);
    setup.identity = stranger_;
    setup.alpn = alpn_;
    setup.min_version = min_version_;
    setup.max_version = max_version_;
  }
  std::string error;
  const auto tls = TlsChannel::accept(wire, setup, error);
  if (!tls) {
    const std::lock_guard lock(mutex_);
    ++failed_handshakes_;
  } else if (tls->alpn() == "h2") {
    serve_http2(*this, wire, *tls);
  } else {
    serve_http1(wire, *tls);
  }
}

void HttpsServer::serve_http1(Wire& wire, TlsChannel& tls) {
  Reader reader(tls);
  while (auto request = read_request(reader)) {
    request->host = tls.server_name();
    const HttpReply reply = reply_to(std::move(*request));
    const auto framed = [&](const std::string& data) { return reply.chunked ? chunk(data) : data; };
    switch (reply.fault) {
      case HttpFault::drop: return;
      case HttpFault::hang: wire.wait_for_end(kHangFor); return;
      case HttpFault::truncate:
        tls.write(head_of(reply) + framed(reply.body.substr(0, reply.body.size() / 2)));
        return;
      case HttpFault::drip:
        if (!tls.write(head_of(reply))) return;
        for (const char c : reply.body) {
          if (!tls.write(framed(std::string(1, c))) || wire.wait_for_end(reply.drip_interval)) return;
        }
        if (reply.chunked && !tls.write("0\r\n\r\n")) return;
        break;
      case HttpFault::none: {
        const std::string tail =
            reply.chunked ? (reply.body.empty() ? "" : chunk(reply.body)) + "0\r\n\r\n" : reply.body;
        if (!tls.write(head_of(reply) + tail)) return;
        break;
      }
    }
  }
  tls.close_notify();
}

}  // namespace holdfast::world
