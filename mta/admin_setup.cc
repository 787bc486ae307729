#include "mta/admin_setup.h"

#include <algorithm>
#include <iterator>

#include "config/reference.h"
#include "mta/admin_answer.h"
#include "mta/admin_json.h"
#include "mta/check_domain.h"
#include "mta/cli/exit_code.h"
#include "mta/dkim_keys.h"
#include "mta/standalone.h"
#include "mta/users_store.h"
#include "smtp/base/hop.h"

namespace holdfast {
namespace {

AdminResponse done() { return admin_answer(200, "{\"schema\":1,\"count\":1}\n"); }

AdminResponse users_failure(const UsersError& error) {
  switch (error.exit_code) {
    case exit_code::no: return admin_failure(409, error.text);
    case exit_code::usage: return admin_failure(400, error.text);
    default: return admin_failure(503, error.text);  // the file is faulty, or cannot be read or written
  }
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    if (end > at) out.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// What is looked up by /v1/check, /v1/dkim/check and /v1/dns/check.
asio::awaitable<void> check_into(Standalone& tools, DomainName domain, std::string& out) {
  const CheckResult result = co_await check_domain(tools, std::move(domain));
  out = check_json(result) + "\n";
}

void add_lines(const std::vector<OwnDnsFinding>& findings, std::string& out) {
  for (const OwnDnsFinding& finding : findings) out += finding_json(finding) + "\n";
}

asio::awaitable<void> check_keys_into(Standalone& tools, std::vector<OwnKey> keys, std::string& out) {
  for (OwnKey& key : keys) {
    const auto findings = co_await check_key(tools.resolver(), std::move(key));
    add_lines(findings, out);
  }
}

asio::awaitable<void> check_dns_into(Standalone& tools, OwnDnsRequest request, std::string& out) {
  const auto findings =
      co_await check_own_dns(tools.resolver(), tools.fetcher(), tools.random(), std::move(request));
  add_lines(findings, out);
}

// Clears the flag when the look-up ends, however it does.
class Turn {
 public:
  explicit Turn(std::atomic<bool>& taken) : taken_(taken), mine_(!taken.exchange(true)) {}
  ~Turn() {
    if (mine_) taken_ = false;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool mine() const { return mine_; }

 private:
  std::atomic<bool>& taken_;
  const bool mine_;
};

// The settings with another selector.
SettingsPtr with_selector(SettingsPtr settings, const std::string& selector) {
  if (selector.empty()) return settings;
  auto own = std::make_shared<Settings>(*settings);
  own->dkim.selector = selector;
  return own;
}

}  // namespace

bool AdminSetup::is_mine(const std::string& path) {
  const auto below = [&](std::string_view room) {
    return path == room || (path.starts_with(room) && path[room.size()] == '/');
  };
  return below("/v1/config") || below("/v1/users") || below("/v1/dkim") || below("/v1/dns") ||
         below("/v1/check");
}

asio::awaitable<AdminResponse> AdminSetup::handle(AdminRequest request) {
  if (!request.trusted)
    co_return admin_failure(403, request.path + " is answered over the socket or for the token only");
  auto job = work(std::move(request));
  co_return co_await hop(parts_.blocking, std::move(job));
}

asio::awaitable<AdminResponse> AdminSetup::work(AdminRequest request) {
  co_return request.method == "POST" ? post(request) : get(request);
}

AdminResponse AdminSetup::get(const AdminRequest& request) {
  const SettingsPtr settings = parts_.settings.current();
  if (request.path == "/v1/config") {
    Loaded loaded;
    loaded.settings = settings;
    AdminResponse response = admin_answer(200, show(loaded, false));
    response.content_type = "text/plain; charset=utf-8";
    return response;
  }
  if (request.path == "/v1/users") {
    std::vector<KnownUser> users;
    if (UsersError error = list_users(*settings, users); error.exit_code != 0) return users_failure(error);
    std::string body;
    for (const KnownUser& user : users) body += user_json(user) + "\n";
    return admin_lines(std::move(body));
  }
  const std::string selector = query_value(request, "selector");
  if (!selector.empty() && !is_selector(selector))
    return admin_failure(400, "selector: letters, digits, hyphens and dots");
  if (request.path == "/v1/dkim") {
    std::string body;
    const auto asked = with_selector(settings, selector);
    for (OwnKey& key : own_keys(asked->dkim, {}, selector.empty())) {
      key.in_use = key.selector == settings->dkim.selector;
      if (!key.record.empty()) body += key_json(key, false) + "\n";
    }
    return admin_lines(std::move(body));
  }
  return look_up(request);
}

AdminResponse AdminSetup::look_up(const AdminRequest& request) {
  const std::string text = query_value(request, "domain");
  DomainName domain;
  if (!text.empty() || request.path == "/v1/check") {
    auto parsed = DomainName::parse(text);
    if (!parsed) return admin_failure(400, "domain: " + parsed.error().detail);
    if (parsed->empty()) return admin_failure(400, "domain= says which");
    domain = *parsed;
  }
  const SettingsPtr settings = with_selector(parts_.settings.current(), query_value(request, "selector"));
  std::string body;
  std::function<asio::awaitable<void>(Standalone&)> job;
  if (request.path == "/v1/check") {
    job = [&](Standalone& tools) { return check_into(tools, domain, body); };
  } else if (request.path == "/v1/dkim/check") {
    job = [&](Standalone& tools) {
      return check_keys_into(tools, own_keys(settings->dkim, {}, query_value(request, "selector").empty()),
                             body);
    };
  } else if (request.path == "/v1/dns/check") {
    std::vector<std::string> domains;
    if (!domain.empty()) domains.push_back(domain.text());
    job = [&, domains](Standalone& tools) {
      return check_dns_into(tools, own_dns_request(*settings, domains, {}), body);
    };
  } else {
    return admin_failure(404, "there is no " + request.path);
  }
  const Turn turn(looking_);
  if (!turn.mine()) return admin_failure(503, "another check is under way: ask again when it has ended");
  auto tools = Standalone::build(settings);
  if (!tools) return admin_failure(503, tools.error().text());
  (*tools)->run(job(**tools));
  return admin_lines(std::move(body));
}

AdminResponse AdminSetup::post(const AdminRequest& request) {
  // A rate that got lost on its way here must not become none.
  constexpr std::string_view kKnown[] = {"name",   "senders",  "messages", "recipients", "tls_required_no",
                                         "domain", "selector", "algorithm"};
  for (const auto& [key, value] : request.query) {
    if (std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown))
      return admin_failure(400, "there is no \"" + key + "\" to set");
    if (value.empty()) return admin_failure(400, key + " has a value, or is left out");
  }
  constexpr std::string_view kUsers = "/v1/users/";
  if (request.path.starts_with(kUsers)) return change_users(request.path.substr(kUsers.size()), request);
  if (request.path == "/v1/dkim/keygen") return make_key(request);
  return admin_failure(404, "there is no " + request.path + " to change");
}

AdminResponse AdminSetup::change_users(const std::string& what, const AdminRequest& request) {
  const SettingsPtr settings = parts_.settings.current();
  UserText text;
  text.name = query_value(request, "name");
  if (text.name.empty()) return admin_failure(400, "name= says which user");
  const std::string hash = request.body.substr(0, request.body.find_last_not_of("\r\n") + 1);
  const bool wants_hash = what == "add" || what == "passwd";
  if (wants_hash && !looks_like_hash(hash))
    return admin_failure(400, "the body is no crypt(5) hash; `mkpasswd -m yescrypt` makes one of a password");
  UsersError error;
  if (what == "add") {
    text.senders = split(query_value(request, "senders"));
    text.messages = query_value(request, "messages");
    text.recipients = query_value(request, "recipients");
    text.tls_required_no = query_value(request, "tls_required_no") == "1";
    UserRecord user;
    error = read_user(text, user);
    user.password_hash = hash;
    if (error.exit_code == 0) error = add_user(*settings, user);
  } else if (what == "passwd") {
    error = change_user(*settings, text.name, [&](UserRecord& user) {
      user.password_hash = hash;
      user.scram.reset();  // those of the old password
    });
  } else if (what == "suspend" || what == "resume") {
    error = change_user(*settings, text.name, [&](UserRecord& user) { user.suspended = what == "suspend"; });
  } else if (what == "remove") {
    error = remove_user(*settings, text.name);
  } else {
    return admin_failure(404, "there is no " + request.path + " to change");
  }
  if (error.exit_code != 0) return users_failure(error);
  parts_.log.event("admin", Fields().add("change", "user " + what).add("user", text.name));
  return done();
}

AdminResponse AdminSetup::make_key(const AdminRequest& request) {
  const auto domain = DomainName::parse(query_value(request, "domain"));
  if (!domain || domain->empty()) return admin_failure(400, "domain= says for which");
  const std::string selector = query_value(request, "selector"),
                    algorithm = query_value(request, "algorithm");
  if (!selector.empty() && !is_selector(selector))
    return admin_failure(400, "selector: letters, digits, hyphens and dots");
  if (!algorithm.empty() && algorithm != "rsa" && algorithm != "ed25519")
    return admin_failure(400, "algorithm is none of rsa, ed25519");
  const SettingsPtr settings = parts_.settings.current();
  auto made =
      make_dkim_key(with_selector(settings, selector)->dkim, domain->text(),
                    algorithm == "ed25519" ? DkimAlgorithm::ed25519_sha256 : DkimAlgorithm::rsa_sha256);
  if (!made) return admin_failure(503, made.error().text());
  made->key.in_use = made->key.selector == settings->dkim.selector;
  if (made->made)
    parts_.log.event("admin", Fields().add("change", "dkim keygen").add("domain", domain->text()));
  return admin_lines(key_json(made->key, made->made) + "\n");
}

}  // namespace holdfast
