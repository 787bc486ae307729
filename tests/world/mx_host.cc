#include "tests/world/mx_host.h"

#include <algorithm>

namespace holdfast::world {

void MxSettings::drop_extension(const std::string& keyword) {
  std::erase_if(extensions,
                [&](const std::string& line) { return line.substr(0, line.find(' ')) == keyword; });
}

MxHost::MxHost(std::string name, const Endpoint& at, MxSettings settings, Journal& journal)
    : name_(std::move(name)), journal_(journal), settings_(std::move(settings)) {
  listen(at);
}

MxHost::~MxHost() { listener_.reset(); }

void MxHost::listen(const Endpoint& at) {
  listener_ = std::make_unique<Listener>(at, [this](Wire& wire) { converse(*this, wire, journal_); });
  endpoint_ = listener_->endpoint();
}

void MxHost::stop_listening() { listener_.reset(); }
void MxHost::listen_again() { listen(endpoint_); }

MxSettings MxHost::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

void MxHost::set(MxSettings settings) {
  const std::lock_guard lock(mutex_);
  settings_ = std::move(settings);
}

void MxHost::on(Stage stage, Reaction reaction, std::string containing, int times) {
  const std::lock_guard lock(mutex_);
  rules_.push_back({stage, std::move(containing), std::move(reaction), times});
}

void MxHost::clear_rules() {
  const std::lock_guard lock(mutex_);
  rules_.clear();
}

std::optional<Reaction> MxHost::reaction(Stage stage, const std::string& line) {
  const std::lock_guard lock(mutex_);
  for (auto& rule : rules_) {
    if (rule.stage != stage || rule.left == 0 || line.find(rule.containing) == std::string::npos) continue;
    if (rule.left > 0) --rule.left;
    return rule.reaction;
  }
  return std::nullopt;
}

}  // namespace holdfast::world
