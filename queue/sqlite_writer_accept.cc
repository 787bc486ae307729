// The part of the SqliteWriter that takes messages in.
#include "queue/sqlite_writer.h"
#include "queue/store_record.h"

namespace holdfast {

Result<Accepted> SqliteWriter::accept(Accept& accept, WallTime, SteadyTime steady, WriteEffects& effects) {
  const std::string& key = accept.meta.idempotency_key;
  if (!key.empty()) {
    auto known = sql_.find_key.bind(1, key).step();
    if (!known) return known.error();
    if (*known) {
      const auto id = id_from_octets(sql_.find_key.blob(0));
      sql_.find_key.reset();
      if (!id) return Error(StoreError::damaged, "the row of idempotency key " + key);
      return Accepted{*id, true, {}};
    }
  }
  if (accept.recipients.empty()) return Error(StoreError::rejected, "a message without recipients");
  const std::int64_t first = counters_.last_recipient + 1;
  const auto total = static_cast<std::int64_t>(accept.recipients.size());
  auto meta = std::make_shared<MessageMeta>(accept.meta);
  if (auto done = insert_content(accept, first, *meta, effects); !done) return done.error();

  const std::string record = encode_meta(*meta);
  const std::string_view id = as_octets(meta->id);
  auto added = sql_.add_message.bind_blob(1, id).bind(2, first).bind(3, total).bind_blob(4, record).run();
  if (!added) return added.error();
  if (!key.empty()) {
    if (auto done = sql_.add_key.bind(1, key).bind_blob(2, id).run(); !done) return done.error();
  }

  Accepted accepted{meta->id, false, {}};
  const bool claim = accept.claim && meta->release <= meta->accepted;
  std::map<std::string_view, std::size_t> claims;  // index by domain
  std::int64_t row = first;
  std::int64_t cost = kMessageCost + length_of(record);
  for (const auto& recipient : accept.recipients) {
    const std::string& domain = recipient.address.domain();
    const std::string address = encode_recipient(recipient);
    auto inserted = sql_.add_recipient.bind(1, row)
                        .bind_blob(2, id)
                        .bind(3, first)
                        .bind(4, total)
                        .bind(5, domain)
                        .bind_blob(6, address)
                        .bind(7, micros(meta->release))
                        .bind(8, key.empty() ? 0 : kFlagKeyed)
                        .run();
    if (!inserted) return inserted.error();
    const auto recipient_id = static_cast<RecipientId>(row);
    if (claim) {
      const auto [at, fresh] = claims.try_emplace(domain, accepted.claims.size());
      if (fresh) accepted.claims.push_back(Claim{leases_.new_token(), meta, domain, {}});
      Claim& into = accepted.claims[at->second];
      into.recipients.push_back({recipient_id, recipient.address, recipient.dsn, 0, false});
      leases_.add(recipient_id, into.token, domain, steady + kFirstLease);
      effects.added.push_back(recipient_id);
    } else {
      effects.due.emplace_back(domain, meta->release);
    }
    cost += kRecipientCost + length_of(address);
    ++row;
  }
  counters_.last_recipient += total;
  counters_.messages += 1;
  counters_.queued += total;
  counters_.record_bytes += cost;
  return accepted;
}

Result<void> SqliteWriter::insert_content(Accept& accept, std::int64_t first, MessageMeta& meta,
                                          WriteEffects& effects) {
  std::int64_t body = first;
  std::uint64_t length = 0;
  std::uint32_t sum = 0;
  auto* staged = static_cast<FileStagedBody*>(accept.body.get());
  std::shared_ptr<const std::string> octets;
  if (accept.body_of) {
    auto found = sql_.find_body.bind_blob(1, as_octets(*accept.body_of)).step();
    if (!found) return found.error();
    if (!*found) return Error(StoreError::not_found, "body of " + accept.body_of->text());
    body = sql_.find_body.integer(0);
    length = static_cast<std::uint64_t>(sql_.find_body.integer(1));
    sql_.find_body.reset();
    if (auto shared = share_body(body); !shared) return shared;
  } else if (staged != nullptr) {
    length = staged->size();
    sum = staged->sum();
    if (staged->file().empty()) octets = staged->memory();
  }
  meta.prefix_size = accept.prefix.size();
  meta.body_size = length;
  const auto bytes = static_cast<std::int64_t>(meta.prefix_size + meta.body_size);
  auto& add = sql_.add_content;
  add.bind(1, first).bind_blob(2, as_octets(meta.id)).bind(3, body).bind(4, bytes);
  add.bind(5, static_cast<std::int64_t>(length)).bind(6, std::int64_t{sum});
  add.bind(7, std::int64_t{checksum(accept.suffix, checksum(accept.prefix))});
  add.bind_blob(9, accept.prefix).bind_blob(10, accept.suffix);
  if (staged != nullptr && !staged->file().empty()) {
    add.bind(8, staged->file()).bind_null(11);
    effects.kept_files.push_back(staged);
  } else if (octets) {
    add.bind_null(8).bind_blob(11, *octets);
  } else {
    add.bind_null(8).bind_null(11);
  }
  counters_.bytes += bytes;
  if (octets && accept.claim)
    effects.fresh.emplace_back(meta.id, std::make_shared<const MessageContent>(
                                            MessageContent{accept.prefix, octets, accept.suffix}));
  return add.run();
}

Result<void> SqliteWriter::share_body(std::int64_t body) {
  auto found = sql_.find_holders.bind(1, body).step();
  if (!found) return found.error();
  const std::int64_t holders = *found ? sql_.find_holders.integer(0) : 1;
  sql_.find_holders.reset();
  return sql_.set_holders.bind(1, body).bind(2, holders + 1).run();
}

}  // namespace holdfast
