#include "mta/cli/init_command.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>

#include "config/config_value.h"
#include "config/schema.h"
#include "config/schema_values.h"
#include "config/secret.h"
#include "mta/cli/common.h"
#include "mta/cli/dns_records.h"
#include "mta/cli/password_input.h"
#include "mta/users_store.h"
#include "queue/dkim_key.h"
#include "smtp/base/domain_name.h"

namespace holdfast {
namespace {

constexpr const char* selector = "holdfast";  // dkim.selector's default

void ask(const char* question, std::string& answer) {
  if (!answer.empty() || !stdin_is_terminal()) return;
  std::cerr << question << ": " << std::flush;
  std::getline(std::cin, answer);
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (c != ' ' && c != ',') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, ""));
    }
  }
  return words;
}

void ask_list(const char* question, std::vector<std::string>& answers) {
  std::string text;
  if (answers.empty()) ask(question, text);
  if (!text.empty()) answers = words_of(text);
}

// What is wrong with the answers, or "".
std::string judge(const InitOptions& o) {
  if (o.hostname.empty()) return "the relay's host name is missing; write --hostname relay.example.com";
  if (o.domains.empty()) return "the sending domain is missing; write --domain example.com";
  std::string wrong = check_hostname(o.hostname);
  for (const auto& domain : o.domains)
    if (wrong.empty()) wrong = check_domain(domain);
  for (const auto& address : o.addresses)
    if (wrong.empty()) wrong = check_ip(address);
  for (const auto& mx : o.mx)
    if (wrong.empty()) wrong = check_domain(mx.starts_with("*.") ? mx.substr(2) : mx);
  if (wrong.empty() && !o.user.empty()) wrong = check_user_name(o.user);
  return wrong;
}

// Writes a file that must not be there yet; synced. "" or what failed.
std::string write_new(const std::filesystem::path& file, const std::string& text, mode_t mode) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return file.string() + ": " + std::strerror(errno);
  const bool good =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  return good ? "" : file.string() + ": " + std::strerror(error);
}

std::string make_directory(const std::filesystem::path& directory, bool for_owner_alone) {
  std::error_code code;
  const bool made = std::filesystem::create_directories(directory, code);
  if (!code && made && for_owner_alone)
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, code);
  return code ? directory.string() + ": " + code.message() : "";
}

std::string configuration(const InitOptions& o) {
  const auto key = [](const char* name, const std::string& value) {
    return std::string(name) + " = " + quote_toml(value) + "\n";
  };
  std::string out = "# Every key with its default: holdfast config reference\n\n";
  out += key("hostname", o.hostname) + key("postmaster", "postmaster@" + o.domains.front()) +
         key("data_dir", o.data_dir.string());
  out += "\n[[listener]]\n" + key("bind", "[::]:587") + key("mode", "submission");
  out += "\n# A certificate for " + o.hostname +
         "; without one a self-signed one is made.\n# [tls]\n# certificate = \"\"\n# private_key = \"\"\n";
  out += "\n[tlsrpt]\n" + key("organization", o.organization) +
         key("contact", "postmaster@" + o.domains.front());
  out += "\n[dkim]\n" + key("sign", "sender-domain") + key("selector", selector);
  return out;
}

// A password that nobody has to remember: 120 random bits in letters and digits that are told apart by eye.
std::string random_password() {
  static constexpr char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
  unsigned char bytes[24];
  if (RAND_bytes(bytes, sizeof bytes) != 1)
    throw std::runtime_error("the system's random generator gives nothing");
  std::string out;
  for (const unsigned char byte : bytes) out += letters[byte % 32];
  return out;
}

UsersError user_password(const InitOptions& o, std::string& password) {
  if (!o.password_file.empty() || stdin_is_terminal()) return read_new_password(o.password_file, password);
  const auto file = o.directory / (o.user + ".password");
  if (std::filesystem::exists(file))
    return read_new_password(file, password);  // of an attempt that broke off
  password = random_password();
  if (std::string wrong = write_new(file, password + "\n", 0600); !wrong.empty())
    return {exit_code::permission, wrong};
  complain("the password of " + o.user + " was made up; it is in " + file.string());
  return {};
}

UsersError make_user(const InitOptions& o) {
  if (o.user.find('/') != std::string::npos)
    return {exit_code::usage, "the first user's name may not hold a slash"};
  std::string password;
  const WipeAtEnd wiped(password);
  if (UsersError error = user_password(o, password); error.exit_code != 0) return error;
  UserRecord user;
  user.name = o.user;
  for (const std::string& domain : o.domains) user.senders.push_back("@" + domain);
  const auto hash = hash_password(password);
  user.scram = make_scram(password);
  if (!hash || !user.scram)
    return {exit_code::bad_data, "this password cannot be used: at most 511 octets, and no NUL"};
  user.password_hash = *hash;
  return change_users(o.data_dir / "users", [&](std::vector<UserRecord>& users) {
    std::erase_if(users, [&](const UserRecord& known) { return known.name == user.name; });
    users.push_back(user);
    return UsersError{};
  });
}

// The record of the domain's key, of a new one or of the one that is there already.
std::string dkim_record_of(const InitOptions& o, const std::string& domain, std::string& record) {
  const auto key_dir = o.data_dir / "dkim";
  const auto file = dkim_key_path(key_dir, domain, selector);
  if (std::string wrong = make_directory(file.parent_path(), true); !wrong.empty()) return wrong;
  auto key = DkimKey::load(file);
  if (!key && key.error().is(DkimError::no_key)) {
    key = DkimKey::generate(DkimAlgorithm::rsa_sha256);
    if (!key) return key.error().text();
    if (const auto saved = key->save(file); !saved) return saved.error().text();
  }
  if (!key) return key.error().text();
  const auto value = key->record();
  if (!value) return value.error().text();
  record = *value;
  return "";
}

int fail(const std::string& text) { return complain(printable(text)), exit_code::permission; }

}  // namespace

int init_directory(InitOptions o) {
  const auto file = o.directory / "holdfast.toml";
  std::error_code code;
  if (std::filesystem::exists(file, code))
    return complain(file.string() + " exists already; nothing was changed"), exit_code::no;
  ask("Host name of this relay (its EHLO name), such as relay.example.com", o.hostname);
  ask_list("Domains that send through it, such as example.com", o.domains);
  ask("Organisation, as TLS reports name it (empty = the host name)", o.organization);
  ask("First user (empty = none)", o.user);
  ask_list("Public addresses of this relay (empty = fill in later)", o.addresses);
  if (const std::string wrong = judge(o); !wrong.empty()) return complain(printable(wrong)), exit_code::usage;
  for (std::string& domain : o.domains) {
    const auto name = DomainName::parse(domain);  // zone files, DKIM and the key's directory have A-labels
    if (!name) return complain(printable(name.error().text())), exit_code::usage;
    domain = name->text();
  }
  if (o.organization.empty()) o.organization = o.hostname;
  o.directory = std::filesystem::absolute(o.directory).lexically_normal();
  if (o.data_dir.empty())
    o.data_dir = o.directory == "/etc/holdfast" ? "/var/lib/holdfast" : (o.directory / "data");
  o.data_dir = std::filesystem::absolute(o.data_dir).lexically_normal();

  if (const std::string wrong = make_directory(o.directory, false); !wrong.empty()) return fail(wrong);
  if (const std::string wrong = make_directory(o.data_dir, true); !wrong.empty()) return fail(wrong);
  DnsPlan plan;
  for (const std::string& domain : o.domains) {
    std::string record;
    if (const std::string wrong = dkim_record_of(o, domain, record); !wrong.empty()) return fail(wrong);
    plan.dkim_keys.emplace_back(domain, record);
  }
  if (!o.user.empty())
    if (const UsersError error = make_user(o); error.exit_code != 0)
      return complain(printable(error.text)), error.exit_code;
  // Last: a configuration that is there says that all else is there too.
  if (const std::string wrong = write_new(file, configuration(o), 0644); !wrong.empty()) return fail(wrong);

  plan.hostname = o.hostname;
  plan.addresses = o.addresses;
  plan.domains = o.domains;
  plan.selector = selector;
  plan.mx = o.mx;
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  plan.sts_id = std::to_string(now.time_since_epoch().count());
  plan.report_address = "postmaster@" + o.domains.front();
  complain("wrote " + file.string() + "; data is kept in " + o.data_dir.string() +
           ". Publish these records:");
  print(zone_lines(plan));
  complain("once they are published, ask: holdfast dns check -c " + file.string());
  return exit_code::yes;
}

}  // namespace holdfast
