// queue/store_record.h — messages and recipients as octets with a checksum, as the stores keep them. Pure.
//
// A record is a version, fields, and the CRC-32 of both: what was damaged on disk is noticed when it is read,
// and only that record is set aside.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "queue/checksum.h"
#include "queue/store.h"

namespace holdfast {

std::string encode_meta(const MessageMeta& meta);
Result<MessageMeta> decode_meta(std::string_view record);  // StoreError::damaged

// What of a recipient never changes: its address and what the sender asked of notifications.
std::string encode_recipient(const NewRecipient& recipient);
Result<NewRecipient> decode_recipient(std::string_view record);  // StoreError::damaged

}  // namespace holdfast
