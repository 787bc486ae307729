#include "smtp/server/password_authenticator.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>

#include "smtp/base/hop.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxCached = 10000;
// Longer ones belong to nobody (config/users_file.h) and are not worth a hash.
constexpr std::size_t kMaxUserName = 255;
constexpr std::size_t kMaxPassword = 511;

AuthResult only(AuthVerdict verdict) {
  AuthResult result;
  result.verdict = verdict;
  return result;
}

Identity to_identity(const UserRecord& user) {
  Identity identity;
  identity.user = user.name;
  identity.senders = user.senders;
  identity.messages = user.messages;
  identity.recipients = user.recipients;
  identity.tls_required_no = user.tls_required_no;
  return identity;
}

AuthResult accepted(const UserRecord& user) {
  AuthResult result;
  result.verdict = AuthVerdict::accepted;
  result.identity = to_identity(user);
  return result;
}

// Counts a place in the queue for the hash while it lives.
class Place {
 public:
  Place(std::atomic<unsigned>& count, unsigned limit) : count_(count), taken_(count.fetch_add(1) < limit) {}
  ~Place() { count_.fetch_sub(1); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool taken() const { return taken_; }

 private:
  std::atomic<unsigned>& count_;
  bool taken_;
};

}  // namespace

VerifiedCache::VerifiedCache(Duration lifetime) : lifetime_(lifetime) {
  // Without a secret key the cache would be a table of weak hashes: there is no way on.
  if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1) std::abort();
}

VerifiedCache::Mac VerifiedCache::mac_of(const std::string& user, std::string_view password) const {
  std::string text = user;
  text += '\0';
  text += password;
  Mac mac{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &length);
  wipe(text);
  return mac;
}

bool VerifiedCache::knows(const std::string& user, std::string_view password, const std::string& hash,
                          SteadyTime now) {
  const auto found = entries_.find(user);
  if (found == entries_.end()) return false;
  if (now >= found->second.expires || found->second.hash != hash) {
    entries_.erase(found);
    return false;
  }
  const Mac mac = mac_of(user, password);
  return CRYPTO_memcmp(mac.data(), found->second.mac.data(), mac.size()) == 0;
}

void VerifiedCache::add(const std::string& user, std::string_view password, const std::string& hash,
                        SteadyTime now) {
  if (lifetime_ <= Duration(0)) return;
  if (entries_.size() >= kMaxCached && !entries_.contains(user)) {
    std::erase_if(entries_, [&](const auto& entry) { return now >= entry.second.expires; });
    if (entries_.size() >= kMaxCached) return;
  }
  entries_.insert_or_assign(user, Entry{mac_of(user, password), hash, now + lifetime_});
}

PasswordAuthenticator::PasswordAuthenticator(SettingsPtr settings, AuthPools pools, Clock& clock, Log& log)
    : pools_(std::move(pools)),
      clock_(clock),
      users_(settings, clock, log),
      cache_(settings->auth.cache),
      failures_(settings->auth.max_failures) {}

void PasswordAuthenticator::reload(SettingsPtr settings) {
  users_.reload(settings);
  const std::lock_guard lock(mutex_);
  cache_.set_lifetime(settings->auth.cache);
  failures_.set_rate(settings->auth.max_failures);
}

// On a hashing pool. The answer may have come while this waited: to the same credentials, which are cached
// now, or to guesses from the same address, which locked it out.
asio::awaitable<AuthVerdict> PasswordAuthenticator::check(Question question) {
  {
    const std::lock_guard lock(mutex_);
    if (!failures_.take(question.client_ip, clock_.now())) co_return AuthVerdict::locked_out;
    if (question.usable &&
        cache_.knows(question.user, question.password.text(), question.hash, clock_.now())) {
      failures_.give_back(question.client_ip, clock_.now());
      co_return AuthVerdict::accepted;
    }
  }
  const bool matches = holdfast::verify_password(question.hash, question.password.text());
  const std::lock_guard lock(mutex_);
  if (question.usable && matches) {
    failures_.give_back(question.client_ip, clock_.now());
    cache_.add(question.user, question.password.text(), question.hash, clock_.now());
    good_.add(question.client_ip, clock_.now());
  }
  co_return question.usable&& matches ? AuthVerdict::accepted : AuthVerdict::rejected;
}

asio::awaitable<void> PasswordAuthenticator::refresh_users() {
  users_.refresh();
  co_return;
}

asio::awaitable<void> PasswordAuthenticator::look_for_users() {
  if (!users_.refresh_is_due()) co_return;
  auto look = refresh_users();
  co_await hop(pools_.files, std::move(look));
}

asio::awaitable<AuthResult> PasswordAuthenticator::verify_password(std::string user, Secret password,
                                                                   IpBytes client_ip) {
  co_await look_for_users();
  const auto table = users_.table();
  const UserRecord* record = table->find(user);
  const bool usable = record != nullptr && !record->suspended && !record->password_hash.empty();
  const IpBytes network = network_of(client_ip);
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = clock_.now();
    known = good_.knows(client_ip, now);
    if (failures_.exhausted(client_ip, now)) {
      if (!waiting_.contains(network)) co_return only(AuthVerdict::locked_out);
    } else if (usable && cache_.knows(user, password.text(), record->password_hash, now)) {
      co_return accepted(*record);
    }
  }
  const Place place(known ? pending_of_known_ : pending_, known ? kMaxPendingOfKnown : kMaxPending);
  if (!place.taken()) co_return only(AuthVerdict::unavailable);
  Question question;
  const bool sane = user.size() <= kMaxUserName && password.size() <= kMaxPassword;
  question.usable = usable && sane;
  question.hash = question.usable ? record->password_hash : table->decoy_hash;
  question.client_ip = client_ip;
  if (sane) {
    question.user = std::move(user);
    question.password = std::move(password);
  } else {
    question.password = Secret("x");
  }
  {
    const std::lock_guard lock(mutex_);
    ++waiting_[network];
  }
  auto job = check(std::move(question));
  const Executor pool = known ? pools_.hashing_of_known : pools_.hashing;
  const AuthVerdict verdict = co_await hop(pool, std::move(job));
  const std::lock_guard lock(mutex_);
  if (--waiting_[network] == 0) waiting_.erase(network);
  if (verdict == AuthVerdict::accepted) co_return accepted(*record);
  if (verdict == AuthVerdict::rejected && record == nullptr && !table->complete) {
    failures_.give_back(client_ip, clock_.now());
    co_return only(AuthVerdict::unavailable);
  }
  co_return only(verdict);
}

asio::awaitable<std::optional<Identity>> PasswordAuthenticator::identity_of(std::string user) {
  co_await look_for_users();
  const auto table = users_.table();
  const UserRecord* record = table->find(user);
  if (record == nullptr || record->suspended) co_return std::nullopt;
  co_return to_identity(*record);
}

asio::awaitable<Standing> PasswordAuthenticator::standing_of(std::string user) {
  co_await look_for_users();
  const auto table = users_.table();
  const UserRecord* record = table->find(user);
  if (record == nullptr) co_return Standing::unknown;
  co_return record->suspended ? Standing::suspended : Standing::good;
}

asio::awaitable<ScramOffer> PasswordAuthenticator::offer_scram(std::string user, IpBytes client_ip) {
  co_await look_for_users();
  ScramOffer offer;
  const auto table = users_.table();
  const UserRecord* record = table->find(user);
  if (record == nullptr && !table->complete) {
    offer.verdict = AuthVerdict::unavailable;
    co_return offer;
  }
  const std::lock_guard lock(mutex_);
  if (failures_.exhausted(client_ip, clock_.now())) {
    offer.verdict = AuthVerdict::locked_out;
    co_return offer;
  }
  offer.keys = table->scram_for(user, record);
  co_return offer;
}

asio::awaitable<AuthResult> PasswordAuthenticator::conclude_scram(std::string user, bool proved,
                                                                  IpBytes client_ip) {
  const auto table = users_.table();
  const UserRecord* record = table->find(user);
  const std::lock_guard lock(mutex_);
  // Only now: an offer tells nothing, and guesses that come together still count one by one.
  if (!failures_.take(client_ip, clock_.now())) co_return only(AuthVerdict::locked_out);
  if (!proved || record == nullptr || record->suspended || !record->scram)
    co_return only(AuthVerdict::rejected);
  failures_.give_back(client_ip, clock_.now());
  co_return accepted(*record);
}

}  // namespace holdfast
