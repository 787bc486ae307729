#include "smtp/server/sasl.h"

#include "smtp/server/sasl_scram.h"

namespace holdfast {

SaslStep sasl_challenge(std::string text) {
  SaslStep step;
  step.kind = SaslStep::Kind::challenge;
  step.challenge = std::move(text);
  return step;
}

SaslStep sasl_done(AuthResult result) {
  SaslStep step;
  step.kind = SaslStep::Kind::done;
  step.result = std::move(result);
  return step;
}

namespace {

// RFC 4616: [authzid] NUL authcid NUL password, in one response.
class Plain final : public SaslExchange {
 public:
  Plain(Authenticator& authenticator, IpBytes client_ip)
      : authenticator_(authenticator), client_ip_(client_ip) {}

  asio::awaitable<SaslStep> respond(std::optional<std::string> response) override {
    if (!response) co_return sasl_challenge("");
    const std::size_t first = response->find('\0');
    const std::size_t second = first == std::string::npos ? first : response->find('\0', first + 1);
    if (second == std::string::npos || response->find('\0', second + 1) != std::string::npos)
      co_return SaslStep();
    const std::string authorization = response->substr(0, first);
    std::string user = response->substr(first + 1, second - first - 1);
    Secret password(std::string_view(*response).substr(second + 1));
    wipe(*response);
    if (user.empty() || password.empty()) co_return SaslStep();
    // Nobody may act for another user. The name is made unknown rather than refused at once: it must take as
    // long.
    if (!authorization.empty() && authorization != user) user.insert(user.begin(), '\0');
    AuthResult result =
        co_await authenticator_.verify_password(std::move(user), std::move(password), client_ip_);
    co_return sasl_done(std::move(result));
  }

 private:
  Authenticator& authenticator_;
  IpBytes client_ip_;
};

// Never standardised, known to every old client: user name, then password.
class Login final : public SaslExchange {
 public:
  Login(Authenticator& authenticator, IpBytes client_ip)
      : authenticator_(authenticator), client_ip_(client_ip) {}

  asio::awaitable<SaslStep> respond(std::optional<std::string> response) override {
    if (!response) co_return sasl_challenge("Username:");
    if (!user_) {
      if (response->empty()) co_return SaslStep();
      user_ = std::move(*response);
      co_return sasl_challenge("Password:");
    }
    if (response->empty()) co_return SaslStep();
    Secret password(*response);
    wipe(*response);
    AuthResult result = co_await authenticator_.verify_password(*user_, std::move(password), client_ip_);
    co_return sasl_done(std::move(result));
  }

 private:
  Authenticator& authenticator_;
  IpBytes client_ip_;
  std::optional<std::string> user_;
};

}  // namespace

std::unique_ptr<SaslExchange> start_sasl(std::string_view mechanism, Authenticator& authenticator,
                                         IpBytes client_ip) {
  if (mechanism == "PLAIN") return std::make_unique<Plain>(authenticator, client_ip);
  if (mechanism == "LOGIN") return std::make_unique<Login>(authenticator, client_ip);
  if (mechanism == "SCRAM-SHA-256") return start_scram_sha256(authenticator, client_ip);
  return nullptr;
}

}  // namespace holdfast
