// tests/world/relay.h — the real relay, as a child process inside a world.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {

// One JSON line: nested members by dotted names ("tls.version"), values as text ("true", "25", "mx.test").
class JsonLine {
 public:
  static std::optional<JsonLine> parse(const std::string& text);
  std::string operator[](const std::string& name) const;  // "" when absent
  bool has(const std::map<std::string, std::string>& fields) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::map<std::string, std::string> fields_;
};

struct RelayOptions {
  std::string binary;                           // of holdfast
  std::map<std::string, std::string> settings;  // over the usual ones: {"delivery.retry", "[\"1s\"]"}
  std::string more;                             // appended to the configuration: [[route]] and the like
  std::vector<std::string> wrapper;             // put before the command: {"strace", "-f", …}
};

class Relay {
 public:
  static constexpr const char* kUser = "app";
  static constexpr const char* kPassword = "correct horse battery";

  // Writes the configuration; start() starts. The world must outlive the relay.
  Relay(World& world, RelayOptions options);
  ~Relay();

  bool start();  // waits until it listens; false, with its output in transcript(), when it does not
  void kill();   // SIGKILL, and waits for its end
  std::optional<int> terminate(Milliseconds limit = Milliseconds(30000));  // SIGTERM; the exit code
  pid_t pid() const { return process_->pid(); }

  Endpoint submission() const { return submission_; }
  Endpoint trusted() const { return trusted_; }
  const std::filesystem::path& data_dir() const { return data_dir_; }
  std::filesystem::path config_file() const { return folder_.path() / "holdfast.toml"; }
  std::filesystem::path user_password_file() const { return folder_.path() / "password"; }

  // The first line of the log since the last start that has these fields, waiting for it if need be.
  std::optional<JsonLine> wait_for_log(const std::map<std::string, std::string>& fields,
                                       Milliseconds limit = Milliseconds(20000)) const;
  std::vector<JsonLine> log() const;
  std::vector<JsonLine> log(const std::map<std::string, std::string>& fields) const;
  std::string transcript() const;  // all it wrote, for a failing test's message

  // Runs a subcommand with -c; its JSON lines with run_json().
  ProcessEnd run(std::vector<std::string> arguments) const;
  std::vector<JsonLine> run_json(std::vector<std::string> arguments) const;

 private:
  void write_config() const;

  World& world_;
  RelayOptions options_;
  TempDir folder_;
  std::filesystem::path data_dir_;
  std::unique_ptr<Process> process_;
  Endpoint submission_, trusted_;
};

}  // namespace holdfast::world
