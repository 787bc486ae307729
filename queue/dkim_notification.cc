#include "queue/dkim_notification.h"

#include "queue/header_address.h"

namespace holdfast {
namespace {

// Hashes the body of a stored message, without the prefix that the store puts before it.
asio::awaitable<Result<void>> hash_original(Store& store, MessageSigning& signing,
                                            std::shared_ptr<const MessageMeta> original) {
  auto body = co_await store.open_body(original->id);
  if (!body) co_return body.error();
  std::uint64_t skip = original->prefix_size;
  std::uint64_t left = original->body_size;
  while (true) {
    const auto chunk = co_await (*body)->next();
    if (!chunk) co_return chunk.error();
    if (chunk->empty()) co_return Result<void>();
    std::string_view octets = *chunk;
    const auto skipped = std::min<std::uint64_t>(skip, octets.size());
    octets.remove_prefix(skipped);
    skip -= skipped;
    octets = octets.substr(0, std::min<std::uint64_t>(left, octets.size()));
    left -= octets.size();
    signing.body(octets);
  }
}

}  // namespace

asio::awaitable<Result<Accept>> sign_notification(Store& store, MessageSigner& signer, DkimSettings settings,
                                                  Accept notification,
                                                  std::shared_ptr<const MessageMeta> original, WallTime now) {
  if (settings.sign == DkimSigning::off) co_return notification;
  const std::size_t end = notification.prefix.find("\r\n\r\n");
  if (end == std::string::npos) co_return notification;
  const std::string header = notification.prefix.substr(0, end + 2);
  const auto fields = parse_header(header);
  if (!fields) co_return fields.error();
  const HeaderField* from = find_field(*fields, "From");
  if (from == nullptr) co_return notification;
  const auto authors = parse_mailboxes(from->value());
  if (!authors) co_return authors.error();
  auto signing = signer.begin(settings, authors->front().domain(), now);
  if (!signing) co_return signing.error();
  if (!*signing) co_return notification;

  (*signing)->body(std::string_view(notification.prefix).substr(end + 4));
  if (notification.body_of) {
    const auto hashed = co_await hash_original(store, **signing, original);
    if (!hashed) co_return hashed.error();
  }
  (*signing)->body(notification.suffix);
  auto signature = (*signing)->finish(*fields);
  if (!signature) co_return signature.error();
  notification.prefix.insert(0, *signature);
  co_return notification;
}

}  // namespace holdfast
