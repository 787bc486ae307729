#include "tests/world/relay.h"

#include <signal.h>

#include <boost/json.hpp>
#include <fstream>

namespace holdfast::world {
namespace {

namespace json = boost::json;

void flatten(const std::string& prefix, const json::value& value, std::map<std::string, std::string>& out) {
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) {
      const std::string name(member.key());
      flatten(prefix.empty() ? name : prefix + "." + name, member.value(), out);
    }
  } else if (const auto* array = value.if_array()) {
    for (std::size_t i = 0; i < array->size(); ++i) {
      flatten(prefix + "." + std::to_string(i), (*array)[i], out);
    }
  } else if (const auto* text = value.if_string()) {
    out[prefix] = std::string(*text);
  } else {
    out[prefix] = json::serialize(value);
  }
}

std::string quoted(const std::string& text) { return json::serialize(json::string(text)); }

std::optional<Endpoint> endpoint_from(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  return Endpoint{text.substr(0, colon), static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1)))};
}

}  // namespace

std::optional<JsonLine> JsonLine::parse(const std::string& text) {
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  if (error || !value.is_object()) return std::nullopt;
  JsonLine line;
  line.text_ = text;
  flatten("", value, line.fields_);
  return line;
}

std::string JsonLine::operator[](const std::string& name) const {
  const auto found = fields_.find(name);
  return found == fields_.end() ? "" : found->second;
}

bool JsonLine::has(const std::map<std::string, std::string>& fields) const {
  for (const auto& [name, value] : fields) {
    const auto found = fields_.find(name);
    if (found == fields_.end() || found->second != value) return false;
  }
  return true;
}

Relay::Relay(World& world, RelayOptions options)
    : world_(world), options_(std::move(options)), data_dir_(folder_.path() / "data") {
  std::filesystem::create_directories(data_dir_);
  std::ofstream password(user_password_file());
  std::filesystem::permissions(user_password_file(), std::filesystem::perms(0600));
  password << kPassword << "\n";
  password.close();
  write_config();
}

Relay::~Relay() = default;

void Relay::write_config() const {
  // Section -> key -> value; "" is the top of the file.
  std::map<std::string, std::map<std::string, std::string>> sections;
  const auto set = [&](const std::string& name, const std::string& value) {
    const auto dot = name.find('.');
    if (dot == std::string::npos) {
      sections[""][name] = value;
    } else {
      sections[name.substr(0, dot)][name.substr(dot + 1)] = value;
    }
  };
  set("hostname", quoted("relay.test"));
  set("data_dir", quoted(data_dir_.string()));
  set("runtime.threads", "2");
  set("auth.trusted_networks", "[\"127.0.0.0/8\"]");
  set("trust.ca_file", quoted(world_.ca_file().string()));
  set("dns.servers", "[" + quoted(world_.dns().endpoint().text()) + "]");
  set("dns.timeout", quoted("1s"));
  set("egress.allow", "[\"127.0.0.0/8\"]");
  set("delivery.port", std::to_string(world_.mx_port()));
  set("delivery.retry", "[\"1s\"]");
  set("sts.https_port", std::to_string(world_.https_port()));
  set("queue.min_free_space", "\"0%\"");
  set("admin.http", "\"\"");
  set("log.format", "\"json\"");
  for (const auto& [name, value] : options_.settings) set(name, value);

  std::ofstream out(config_file());
  for (const auto& [section, keys] : sections) {  // "" comes first
    if (!section.empty()) out << "\n[" << section << "]\n";
    for (const auto& [key, value] : keys) out << key << " = " << value << "\n";
  }
  out << "\n[[listener]]\nbind = \"127.0.0.1:0\"\nmode = \"submission\"\nmax_connections_per_ip = 1000\n"
      << "\n[[listener]]\nbind = \"127.0.0.1:0\"\nmode = \"trusted\"\nmax_connections_per_ip = 1000\n"
      << "\n[[user]]\nname = \"" << kUser << "\"\npassword_file = " << quoted(user_password_file().string())
      << "\nsenders = [\"@sender.test\"]\n"
      << options_.more;
}

bool Relay::start() {
  std::vector<std::string> command = options_.wrapper;
  command.insert(command.end(), {options_.binary, "serve", "-c", config_file().string()});
  process_ = std::make_unique<Process>(command);
  for (const auto* mode : {"submission", "trusted"}) {
    // A start under a sanitizer on a busy machine has been seen to take 25 seconds.
    const auto line = wait_for_log({{"text", "listening"}, {"mode", mode}}, Milliseconds(60000));
    const auto endpoint = line ? endpoint_from((*line)["bind"] + (*line)["address"]) : std::nullopt;
    if (!endpoint) return false;
    (mode == std::string("trusted") ? trusted_ : submission_) = *endpoint;
  }
  return true;
}

void Relay::kill() {
  process_->signal(SIGKILL);
  process_->wait(Milliseconds(10000));
}

std::optional<int> Relay::terminate(Milliseconds limit) {
  process_->signal(SIGTERM);
  return process_->wait(limit);
}

std::optional<JsonLine> Relay::wait_for_log(const std::map<std::string, std::string>& fields,
                                            Milliseconds limit) const {
  std::optional<JsonLine> found;
  process_->wait_for_line(
      [&](const std::string& text) {
        const auto line = JsonLine::parse(text);
        if (line && line->has(fields)) found = line;
        return found.has_value();
      },
      limit);
  return found;
}

std::vector<JsonLine> Relay::log() const { return log({}); }

std::vector<JsonLine> Relay::log(const std::map<std::string, std::string>& fields) const {
  std::vector<JsonLine> found;
  for (const auto& text : process_->lines()) {
    const auto line = JsonLine::parse(text);
    if (line && line->has(fields)) found.push_back(*line);
  }
  return found;
}

std::string Relay::transcript() const {
  std::string all;
  for (const auto& line : process_->lines()) all += line + "\n";
  return all + process_->errors();
}

ProcessEnd Relay::run(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), options_.binary);
  arguments.insert(arguments.end(), {"-c", config_file().string()});
  return run_process(std::move(arguments));
}

std::vector<JsonLine> Relay::run_json(std::vector<std::string> arguments) const {
  arguments.emplace_back("--json");
  std::vector<JsonLine> all;
  std::string text = run(std::move(arguments)).out;
  for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    if (auto line = JsonLine::parse(text.substr(0, end))) all.push_back(std::move(*line));
  }
  return all;
}

}  // namespace holdfast::world
