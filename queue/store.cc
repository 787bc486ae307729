#include "queue/store.h"

namespace holdfast {

const char* category_name(StoreError) { return "store"; }

const char* describe(StoreError error) {
  switch (error) {
    case StoreError::full: return "no space left for the queue";
    case StoreError::io: return "reading or writing the queue failed";
    case StoreError::failed_for_good:
      return "the queue could not be synced to disk; nothing more is acknowledged";
    case StoreError::not_found: return "no such message in the queue";
    case StoreError::damaged: return "stored data is damaged";
    case StoreError::conflict: return "the queue is in use by another process";
    case StoreError::rejected: return "the batch breaks a rule of the store";
    case StoreError::closed: return "the queue is closed";
  }
  return "unknown store error";
}

const char* name(RecipientState state) {
  switch (state) {
    case RecipientState::queued: return "queued";
    case RecipientState::held: return "held";
    case RecipientState::delivered: return "delivered";
    case RecipientState::bounced: return "bounced";
    case RecipientState::expired: return "expired";
    case RecipientState::removed: return "removed";
    case RecipientState::damaged: return "damaged";
  }
  return "unknown";
}

bool has_ended(RecipientState state) {
  return state != RecipientState::queued && state != RecipientState::held && state != RecipientState::damaged;
}

}  // namespace holdfast
