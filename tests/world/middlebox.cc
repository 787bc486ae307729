#include "tests/world/middlebox.h"

#include <algorithm>
#include <cctype>
#include <system_error>

namespace holdfast::world {
namespace {

bool begins_with_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  return std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) {
    return a == static_cast<char>(std::toupper(static_cast<unsigned char>(b)));
  });
}

// Tampers by offset: one direction of one connection.
class Offsets {
 public:
  Offsets(const Tampering& tampering, Tampering::Way way) : tampering_(tampering), way_(way) {
    const bool client = way == Tampering::Way::to_client;
    cut_ = client ? tampering.cut_to_client : tampering.cut_to_server;
    flip_ = client ? tampering.flip_to_client : tampering.flip_to_server;
    delay_ = client ? tampering.delay_to_client : tampering.delay_to_server;
  }

  // Passes the bytes on; false when the connection is to end.
  bool pass(std::string bytes, Wire& from, Wire& to) {
    const std::size_t start = seen_, end = seen_ + bytes.size();
    seen_ = end;
    const auto here = [&](const std::optional<std::size_t>& at) { return at && *at >= start && *at < end; };
    if (here(flip_)) bytes[*flip_ - start] = static_cast<char>(bytes[*flip_ - start] ^ 1);
    if (here(delay_)) {
      if (!to.write(bytes.substr(0, *delay_ - start)) || from.wait_for_end(tampering_.delay)) return false;
      bytes.erase(0, *delay_ - start);
    }
    const bool cut = cut_ && *cut_ < end;
    if (cut) bytes.resize(bytes.size() - std::min(bytes.size(), end - std::max(*cut_, start)));
    std::string out;
    std::size_t at = end - bytes.size();
    for (const auto& injection : tampering_.injections) {
      if (injection.way != way_ || injection.at < at || injection.at >= end) continue;
      out += bytes.substr(0, injection.at - at) + injection.bytes;
      bytes.erase(0, injection.at - at);
      at = injection.at;
    }
    return to.write(out + bytes) && !cut;
  }

 private:
  const Tampering& tampering_;
  const Tampering::Way way_;
  std::optional<std::size_t> cut_, flip_, delay_;
  std::size_t seen_ = 0;
};

// Rewrites the server's clear text: takes STARTTLS out of EHLO replies, adds text behind the 220 to STARTTLS.
class ServerLines {
 public:
  explicit ServerLines(const Tampering& tampering) : tampering_(tampering) {}
  // The client has asked for STARTTLS: the next whole reply answers it.
  void expect_starttls_reply() { starttls_asked_ = true; }

  std::string edit(std::string_view bytes) {
    pending_ += bytes;
    std::string out;
    for (std::size_t end = 0; (end = pending_.find("\r\n")) != std::string::npos;) {
      std::string line = pending_.substr(0, end + 2);
      pending_.erase(0, end + 2);
      const bool last = line.size() < 4 || line[3] != '-';
      const bool stripped = tampering_.strip_starttls && line.size() > 4 &&
                            begins_with_word(std::string_view(line).substr(4), "STARTTLS");
      if (!stripped) reply_.push_back(std::move(line));
      if (!last) continue;
      if (!reply_.empty() && reply_.back().size() > 3) reply_.back()[3] = ' ';
      for (const auto& kept : reply_) out += kept;
      reply_.clear();
      if (std::exchange(starttls_asked_, false)) {
        out += tampering_.inject_after_starttls;
        clear_ = false;
        return out + std::exchange(pending_, {});
      }
    }
    return out;
  }
  bool clear() const { return clear_; }

 private:
  const Tampering& tampering_;
  std::string pending_;
  std::vector<std::string> reply_;
  bool starttls_asked_ = false, clear_ = true;
};

}  // namespace

Middlebox::Middlebox(const Endpoint& at, Endpoint upstream, Tampering tampering)
    : upstream_(std::move(upstream)), tampering_(std::move(tampering)) {
  listener_ = std::make_unique<Listener>(at, [this](Wire& wire) { serve(wire); });
}

Middlebox::~Middlebox() { listener_.reset(); }

void Middlebox::set(Tampering tampering) {
  const std::lock_guard lock(mutex_);
  tampering_ = std::move(tampering);
}

std::size_t Middlebox::connections() const {
  const std::lock_guard lock(mutex_);
  return logs_.size();
}

std::string Middlebox::from_clients() const {
  const std::lock_guard lock(mutex_);
  std::string all;
  for (const auto& log : logs_) all += log->received();
  return all;
}

std::string Middlebox::to_clients() const {
  const std::lock_guard lock(mutex_);
  std::string all;
  for (const auto& log : logs_) all += log->sent();
  return all;
}

void Middlebox::serve(Wire& client) {
  Tampering tampering;
  {
    const std::lock_guard lock(mutex_);
    tampering = tampering_;
    logs_.push_back(client.log());
  }
  std::optional<Wire> server;
  try {
    server.emplace(connect_tcp(upstream_));
  } catch (const std::system_error&) {
    return;  // the client sees the end of the connection, as with any dead host behind a proxy
  }
  client.set_patience(tampering.patience);
  server->set_patience(tampering.patience);
  const bool edits = tampering.strip_starttls || !tampering.inject_after_starttls.empty();
  std::mutex lines_mutex;
  ServerLines lines(tampering);

  std::thread back([&] {
    Offsets offsets(tampering, Tampering::Way::to_client);
    char data[16384];
    while (const std::size_t n = server->read(data, sizeof data)) {
      std::string bytes(data, n);
      if (edits) {
        const std::lock_guard lock(lines_mutex);
        if (lines.clear()) bytes = lines.edit(bytes);
      }
      if (!bytes.empty() && !offsets.pass(std::move(bytes), *server, client)) break;
    }
    client.stop();
    server->stop();
  });

  Offsets offsets(tampering, Tampering::Way::to_server);
  char data[16384];
  while (const std::size_t n = client.read(data, sizeof data)) {
    std::string bytes(data, n);
    if (edits && begins_with_word(bytes, "STARTTLS")) {
      const std::lock_guard lock(lines_mutex);
      if (tampering.strip_starttls) {
        bytes.replace(0, 8, "XXXXXXXX");  // which the server does not know
      } else {
        lines.expect_starttls_reply();
      }
    }
    if (!offsets.pass(std::move(bytes), client, *server)) break;
  }
  server->stop();
  client.stop();
  back.join();
}

}  // namespace holdfast::world
