#include "sts/policy_fetcher.h"

namespace holdfast {
namespace {

class HttpsPolicyFetcher final : public PolicyFetcher {
 public:
  HttpsPolicyFetcher(HttpsClient& https, const SettingsSource& settings)
      : https_(https), settings_(settings) {}

  asio::awaitable<Result<StsPolicy>> fetch(DomainName domain) override {
    const SettingsPtr settings = settings_.current();
    auto host = DomainName::parse("mta-sts." + domain.text());
    if (!host)
      co_return Error(StsError::dns_failed,
                      "mta-sts." + domain.text() + " is no name: " + host.error().detail);
    HttpsUrl url;
    url.host = std::move(*host);
    url.port = settings->sts.https_port;
    url.path = "/.well-known/mta-sts.txt";
    HttpLimits limits;
    limits.max_body = settings->sts.max_policy_size;
    limits.total = settings->sts.fetch_timeout;
    const std::string where = url.text();

    auto response = co_await https_.get(std::move(url), limits);
    if (!response) co_return response.error();
    if (response->status != 200)
      co_return Error(StsError::http_status, where + ": status " + std::to_string(response->status));
    if (response->media_type != "text/plain") {
      co_return Error(StsError::http_media_type,
                      where + ": " + (response->media_type.empty() ? "none told" : response->media_type));
    }
    auto policy = StsPolicy::parse(response->body);
    if (!policy) co_return Error(StsError::policy_invalid, where + ": " + policy.error().detail);
    co_return policy;
  }

 private:
  HttpsClient& https_;
  const SettingsSource& settings_;
};

}  // namespace

std::unique_ptr<PolicyFetcher> make_policy_fetcher(HttpsClient& https, const SettingsSource& settings) {
  return std::make_unique<HttpsPolicyFetcher>(https, settings);
}

}  // namespace holdfast
