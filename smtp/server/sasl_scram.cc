#include "smtp/server/sasl_scram.h"

#include <gsasl.h>

#include <memory>

namespace holdfast {
namespace {

struct ContextDeleter {
  void operator()(Gsasl* context) const { gsasl_done(context); }
};
struct SessionDeleter {
  void operator()(Gsasl_session* session) const { gsasl_finish(session); }
};

// RFC 5802 section 5.1: "=2C" is a comma, "=3D" an equals sign, and no other '=' may stand in a name.
std::optional<std::string> decode_name(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      name += text[i];
      continue;
    }
    const std::string_view code = text.substr(i + 1, 2);
    if (code != "2C" && code != "3D") return std::nullopt;
    name += code == "2C" ? ',' : '=';
    i += 2;
  }
  if (name.empty() || name.find('\0') != std::string::npos) return std::nullopt;
  return name;
}

std::string_view cut_field(std::string_view& message) {
  const std::string_view field = message.substr(0, message.find(','));
  message.remove_prefix(std::min(field.size() + 1, message.size()));
  return field;
}

SaslStep refused(AuthVerdict verdict) {
  AuthResult result;
  result.verdict = verdict;
  return sasl_done(std::move(result));
}

class ScramSha256 final : public SaslExchange {
 public:
  ScramSha256(Authenticator& authenticator, IpBytes client_ip)
      : authenticator_(authenticator), client_ip_(client_ip) {}

  asio::awaitable<SaslStep> respond(std::optional<std::string> response) override {
    if (!response) co_return sasl_challenge("");
    if (result_) co_return response->empty() ? sasl_done(*result_) : SaslStep();
    if (!session_) {
      auto first = parse_scram_first(*response);
      if (!first) co_return SaslStep();
      user_ = std::move(first->user);
      // Nobody may act for another user; found out at the end, where it looks like a wrong password.
      for_another_ = !first->authorization.empty() && first->authorization != user_;
      ScramOffer offer = co_await authenticator_.offer_scram(user_, client_ip_);
      if (offer.verdict != AuthVerdict::accepted) co_return refused(offer.verdict);
      if (!begin(offer.keys)) co_return refused(AuthVerdict::unavailable);
    }
    std::string output;
    const int code = step(*response, output);
    if (code == GSASL_NEEDS_MORE) co_return sasl_challenge(std::move(output));
    if (code == GSASL_MECHANISM_PARSE_ERROR) co_return SaslStep();
    const bool proved = code == GSASL_OK && !for_another_;
    AuthResult result = co_await authenticator_.conclude_scram(user_, proved, client_ip_);
    if (result.verdict != AuthVerdict::accepted) co_return sasl_done(std::move(result));
    // The server's own proof comes as a challenge that the client answers with nothing (RFC 4954 section 4).
    result_ = std::move(result);
    co_return sasl_challenge(std::move(output));
  }

 private:
  bool begin(const ScramKeys& keys) {
    Gsasl* context = nullptr;
    if (gsasl_init(&context) != GSASL_OK) return false;
    context_.reset(context);
    Gsasl_session* session = nullptr;
    if (gsasl_server_start(context, "SCRAM-SHA-256", &session) != GSASL_OK) return false;
    session_.reset(session);
    const std::string iterations = std::to_string(keys.iterations);
    return gsasl_property_set(session, GSASL_SCRAM_ITER, iterations.c_str()) == GSASL_OK &&
           gsasl_property_set(session, GSASL_SCRAM_SALT, keys.salt.c_str()) == GSASL_OK &&
           gsasl_property_set(session, GSASL_SCRAM_STOREDKEY, keys.stored_key.c_str()) == GSASL_OK &&
           gsasl_property_set(session, GSASL_SCRAM_SERVERKEY, keys.server_key.c_str()) == GSASL_OK;
  }

  int step(const std::string& input, std::string& output) {
    char* out = nullptr;
    std::size_t length = 0;
    const int code = gsasl_step(session_.get(), input.data(), input.size(), &out, &length);
    if (out != nullptr) output.assign(out, length);
    gsasl_free(out);
    return code;
  }

  Authenticator& authenticator_;
  IpBytes client_ip_;
  std::unique_ptr<Gsasl, ContextDeleter> context_;  // before the session, which it outlives
  std::unique_ptr<Gsasl_session, SessionDeleter> session_;
  std::string user_;
  bool for_another_ = false;
  std::optional<AuthResult> result_;
};

}  // namespace

std::optional<ScramFirst> parse_scram_first(std::string_view message) {
  const std::string_view binding = cut_field(message);
  if (binding != "n" && binding != "y") return std::nullopt;
  const std::string_view authorization = cut_field(message);
  const std::string_view user = cut_field(message);
  ScramFirst first;
  if (!authorization.empty()) {
    if (!authorization.starts_with("a=")) return std::nullopt;
    auto name = decode_name(authorization.substr(2));
    if (!name) return std::nullopt;
    first.authorization = std::move(*name);
  }
  if (!user.starts_with("n=") || !message.starts_with("r=")) return std::nullopt;
  auto name = decode_name(user.substr(2));
  if (!name) return std::nullopt;
  first.user = std::move(*name);
  return first;
}

std::unique_ptr<SaslExchange> start_scram_sha256(Authenticator& authenticator, IpBytes client_ip) {
  return std::make_unique<ScramSha256>(authenticator, client_ip);
}

}  // namespace holdfast
