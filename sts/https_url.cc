#include <charconv>

#include "smtp/base/base_error.h"
#include "sts/https_client.h"

namespace holdfast {
namespace {

constexpr std::string_view kScheme = "https://";
constexpr std::uint16_t kDefaultPort = 443;

Error malformed(std::string_view text, const char* why) {
  return Error(BaseError::malformed, std::string(text.substr(0, 200)) + ": " + why);
}

bool has_scheme(std::string_view text) {
  if (text.size() < kScheme.size()) return false;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    if (c != kScheme[i]) return false;
  }
  return true;
}

}  // namespace

Result<HttpsUrl> HttpsUrl::parse(std::string_view text, std::uint16_t default_port) {
  const std::string_view whole = text;
  if (!has_scheme(text)) return malformed(whole, "not an https URL");
  text.remove_prefix(kScheme.size());
  HttpsUrl url;
  url.port = default_port;
  const std::size_t end = text.find_first_of("/?#");
  std::string_view authority = text.substr(0, end);
  std::string_view path = end == std::string_view::npos ? "" : text.substr(end);
  path = path.substr(0, path.find('#'));  // a fragment is never sent (RFC 9110 section 4.2.3)
  url.path = path.starts_with('/') ? std::string(path) : "/" + std::string(path);
  for (const char c : url.path) {
    if (c <= ' ' || c >= 0x7f) return malformed(whole, "an octet that a URL may not hold");
  }
  if (authority.find('@') != std::string_view::npos)
    return malformed(whole, "user information is not allowed");
  if (authority.find_first_of("[]") != std::string_view::npos)
    return malformed(whole, "an address literal cannot be verified");
  const std::size_t colon = authority.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    if (!digits.empty()) {
      const auto [at, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
      if (error != std::errc() || at != digits.data() + digits.size() || url.port == 0)
        return malformed(whole, "no such port");
    }
    authority = authority.substr(0, colon);
  }
  auto host = DomainName::parse(authority);
  if (!host) return malformed(whole, host.error().detail.c_str());
  url.host = std::move(*host);
  return url;
}

std::string HttpsUrl::authority() const {
  return port == kDefaultPort ? host.text() : host.text() + ":" + std::to_string(port);
}

std::string HttpsUrl::text() const { return std::string(kScheme) + authority() + path; }

}  // namespace holdfast
