// smtp/server/password_authenticator.h — passwords against the users of the configuration and the users file.
//
// Procedure: the address is asked first (FailureLimiter), then the cache of verified credentials, then, on
// a hashing pool, the hash. While checks from an address are under way, further ones wait behind them and
// count only when their turn comes: fifty right logins at once are no attack. Unknown and suspended users are
// hashed against a decoy and refused. What costs CPU is bounded: at most kMaxPending hashes wait, further
// ones are told to come again. Addresses from which somebody has logged in lately have a queue and a pool of
// their own (kMaxPendingOfKnown), so that a flood of guesses neither shuts them out nor makes them wait.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "smtp/base/clock.h"
#include "smtp/base/log.h"
#include "smtp/server/authenticator.h"
#include "smtp/server/failure_limiter.h"
#include "smtp/server/good_addresses.h"
#include "smtp/server/user_directory.h"

namespace holdfast {

// Credentials that were right not long ago, as an HMAC under a key of this process: memory read by somebody
// else gives no password away, and looking up costs microseconds instead of a hash. Not thread-safe.
class VerifiedCache {
 public:
  explicit VerifiedCache(Duration lifetime);

  // `hash` is what the password was verified against: an entry dies when the user's password changes.
  bool knows(const std::string& user, std::string_view password, const std::string& hash, SteadyTime now);
  void add(const std::string& user, std::string_view password, const std::string& hash, SteadyTime now);
  void set_lifetime(Duration lifetime) { lifetime_ = lifetime; }
  std::size_t size() const { return entries_.size(); }

 private:
  using Mac = std::array<unsigned char, 32>;
  struct Entry {
    Mac mac;
    std::string hash;
    SteadyTime expires;
  };
  Mac mac_of(const std::string& user, std::string_view password) const;

  Duration lifetime_;
  std::array<unsigned char, 32> key_;
  std::map<std::string, Entry> entries_;
};

// Where blocking work is done. Hashes that strangers ask for keep nothing else waiting.
struct AuthPools {
  Executor files;  // reads the users file
  Executor hashing;
  Executor hashing_of_known;  // for addresses from which somebody has logged in lately
};

class PasswordAuthenticator final : public Authenticator {
 public:
  // How many hashes may wait for each pool: at 20 ms each on one thread, a second or two.
  static constexpr unsigned kMaxPending = 64;
  static constexpr unsigned kMaxPendingOfKnown = 128;

  // Blocks while clear passwords of the configuration are hashed. `clock` and `log` outlive it.
  PasswordAuthenticator(SettingsPtr settings, AuthPools pools, Clock& clock, Log& log);

  asio::awaitable<AuthResult> verify_password(std::string user, Secret password, IpBytes client_ip) override;

  asio::awaitable<std::optional<Identity>> identity_of(std::string user) override;
  asio::awaitable<Standing> standing_of(std::string user) override;
  asio::awaitable<ScramOffer> offer_scram(std::string user, IpBytes client_ip) override;
  asio::awaitable<AuthResult> conclude_scram(std::string user, bool proved, IpBytes client_ip) override;

  // A new configuration; blocks like the constructor. Thread-safe.
  void reload(SettingsPtr settings);

 private:
  // What is to be checked, and for whom. `hash` is a decoy's unless the user is `usable`.
  struct Question {
    std::string user, hash;
    Secret password;
    IpBytes client_ip{};
    bool usable = false;
  };
  asio::awaitable<AuthVerdict> check(Question question);
  asio::awaitable<void> refresh_users();
  asio::awaitable<void> look_for_users();

  AuthPools pools_;
  Clock& clock_;
  UserDirectory users_;
  std::atomic<unsigned> pending_ = 0, pending_of_known_ = 0;
  std::mutex mutex_;  // for what follows
  VerifiedCache cache_;
  FailureLimiter failures_;
  std::unordered_map<IpBytes, unsigned, IpHash> waiting_;  // checks under way, by network
  GoodAddresses good_;
};

}  // namespace holdfast
