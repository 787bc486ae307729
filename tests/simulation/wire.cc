#include "tests/simulation/wire.h"

#include <array>

namespace holdfast::simulation {

bool Wire::spend(std::size_t& count) {
  if (octets_until_cut == kNever) return true;
  if (count < octets_until_cut) {
    octets_until_cut -= count;
    return true;
  }
  count = octets_until_cut;
  octets_until_cut = 0;
  return false;
}

asio::awaitable<bool> Wire::more() {
  std::array<char, 4096> chunk;
  auto n = co_await stream_->read_some(chunk);
  if (!n) co_return false;
  std::size_t count = *n;
  const bool whole = spend(count);
  buffer_.append(chunk.data(), count);
  if (!whole) stream_->close();
  co_return whole;
}

asio::awaitable<std::optional<std::string>> Wire::line() {
  std::string end = "\r\n";
  auto found = co_await until(std::move(end));
  if (found) found->resize(found->size() - 2);
  co_return found;
}

asio::awaitable<std::optional<std::string>> Wire::until(std::string end) {
  for (;;) {
    const auto at = buffer_.find(end);
    if (at != std::string::npos) {
      std::string out = buffer_.substr(0, at + end.size());
      buffer_.erase(0, at + end.size());
      co_return out;
    }
    const bool came = co_await more();
    if (!came) co_return std::nullopt;
  }
}

asio::awaitable<std::optional<std::string>> Wire::octets(std::size_t count) {
  while (buffer_.size() < count) {
    const bool came = co_await more();
    if (!came) co_return std::nullopt;
  }
  std::string out = buffer_.substr(0, count);
  buffer_.erase(0, count);
  co_return out;
}

asio::awaitable<bool> Wire::send(std::string text) {
  std::size_t count = text.size();
  const bool whole = spend(count);
  text.resize(count);
  auto sent = co_await stream_->write(text);
  if (!whole) stream_->close();
  co_return whole&& sent.has_value();
}

asio::awaitable<bool> Wire::accept_tls(std::shared_ptr<const TlsServerContext> context) {
  buffer_.clear();
  auto handshake = co_await tls_accept(std::move(stream_), context);
  if (!handshake.stream) co_return false;
  stream_ = std::move(handshake.stream);
  tls_ = true;
  co_return true;
}

asio::awaitable<bool> Wire::connect_tls(std::shared_ptr<const TlsClientContexts> contexts, std::string name) {
  TlsClientOptions options;
  options.requirement.level = TlsLevel::encrypted;
  options.requirement.server_name = DomainName::parse(name).value();
  auto handshake = co_await tls_connect(std::move(stream_), contexts, std::move(options));
  if (!handshake.stream) co_return false;
  stream_ = std::move(handshake.stream);
  tls_ = true;
  co_return true;
}

}  // namespace holdfast::simulation
