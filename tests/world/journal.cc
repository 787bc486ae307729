#include "tests/world/journal.h"

#include <algorithm>

namespace holdfast::world {

bool Mail::is_to(const std::string& address) const {
  return std::any_of(recipients.begin(), recipients.end(),
                     [&](const Recipient& recipient) { return recipient.address == address; });
}

std::uint64_t Journal::open(Session session) {
  const std::lock_guard lock(mutex_);
  session.number = next_++;
  sessions_[session.number] = session;
  changed_.notify_all();
  return session.number;
}

void Journal::update(std::uint64_t number, const std::function<void(Session&)>& change) {
  const std::lock_guard lock(mutex_);
  change(sessions_.at(number));
  changed_.notify_all();
}

void Journal::add(Mail mail) {
  const std::lock_guard lock(mutex_);
  mails_.push_back(std::move(mail));
  if (observer_) observer_(mails_.back());
  changed_.notify_all();
}

void Journal::on_mail(std::function<void(const Mail&)> observer) {
  const std::lock_guard lock(mutex_);
  observer_ = std::move(observer);
}

std::vector<Mail> Journal::mails() const {
  const std::lock_guard lock(mutex_);
  return mails_;
}

std::vector<Session> Journal::sessions() const {
  const std::lock_guard lock(mutex_);
  std::vector<Session> all;
  for (const auto& [number, session] : sessions_) all.push_back(session);
  return all;
}

std::vector<Session> Journal::sessions(const std::string& mx) const {
  auto all = sessions();
  std::erase_if(all, [&](const Session& session) { return session.mx != mx; });
  return all;
}

std::string Journal::wire_bytes(const std::string& mx) const {
  std::string bytes;
  for (const auto& session : sessions(mx)) bytes += session.wire->received();
  return bytes;
}

bool Journal::wait_until(
    const std::function<bool(const std::vector<Mail>&, const std::map<std::uint64_t, Session>&)>& met,
    Milliseconds limit) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return met(mails_, sessions_); });
}

std::optional<Mail> Journal::wait_for_mail(const std::function<bool(const Mail&)>& wanted,
                                           Milliseconds limit) const {
  std::optional<Mail> found;
  wait_until(
      [&](const auto& mails, const auto&) {
        const auto it = std::find_if(mails.begin(), mails.end(), wanted);
        if (it != mails.end()) found = *it;
        return found.has_value();
      },
      limit);
  return found;
}

std::optional<Mail> Journal::wait_for_mail_to(const std::string& address, Milliseconds limit) const {
  return wait_for_mail([&](const Mail& mail) { return mail.is_to(address); }, limit);
}

std::optional<Session> Journal::wait_for_session(const std::function<bool(const Session&)>& wanted,
                                                 Milliseconds limit) const {
  std::optional<Session> found;
  wait_until(
      [&](const auto&, const auto& sessions) {
        for (const auto& [number, session] : sessions) {
          if (!found && wanted(session)) found = session;
        }
        return found.has_value();
      },
      limit);
  return found;
}

}  // namespace holdfast::world
