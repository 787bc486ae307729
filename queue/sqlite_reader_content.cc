// The part of the SqliteReader that fetches contents, and checks them against their checksums.
#include "queue/checksum.h"
#include "queue/sqlite_reader.h"

namespace holdfast {

struct SqliteReader::Body {
  std::shared_ptr<const std::string> octets;
  std::optional<BodyFileInfo> file;
};

Result<SqliteReader::Body> SqliteReader::body(std::int64_t row) {
  auto found = body_.bind(1, row).step();
  if (!found) return store_error(found.error());
  if (!*found) return Error(StoreError::damaged, "the shared body is gone");
  Body body;
  const auto length = static_cast<std::uint64_t>(body_.integer(0));
  const auto sum = static_cast<std::uint32_t>(body_.integer(1));
  if (!body_.is_null(2)) {
    body.file = BodyFileInfo{std::string(body_.text(2)), length, sum};
  } else {
    body.octets = std::make_shared<const std::string>(body_.blob(3));
  }
  body_.reset();
  if (body.octets && (body.octets->size() != length || checksum(*body.octets) != sum))
    return Error(StoreError::damaged, "wrong length or checksum of the body");
  return body;
}

Result<FoundContent> SqliteReader::content(QueueId id) {
  if (auto begun = begin_.run(); !begun) return store_error(begun.error());
  auto read = [&]() -> Result<FoundContent> {
    auto found = content_.bind_blob(1, as_octets(id)).step();
    if (!found) return store_error(found.error());
    if (!*found) return Error(StoreError::not_found, id.text());
    MessageContent content;
    const std::int64_t row = content_.integer(1);
    const auto frame_sum = static_cast<std::uint32_t>(content_.integer(2));
    content.prefix = content_.blob(3);
    content.suffix = content_.blob(4);
    content_.reset();
    if (checksum(content.suffix, checksum(content.prefix)) != frame_sum)
      return Error(StoreError::damaged, id.text() + ": wrong checksum of the prefix");
    auto part = body(row);
    if (!part) return part.error();
    content.body = part->octets ? part->octets : std::make_shared<const std::string>();
    FoundContent result;
    result.content = std::make_shared<const MessageContent>(std::move(content));
    result.file = std::move(part->file);
    return result;
  };
  auto result = read();
  (void)end_.run();
  return result;
}

}  // namespace holdfast
