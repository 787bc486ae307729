// tests/bench/smtp_load.cc — submits messages as fast as the server takes them, or as many a second as
// --rate says.
//
// --connections at a time, each sends --per-connection messages and is replaced by a new one, until
// --messages are taken. Commands are pipelined as RFC 2920 allows: MAIL, RCPT and DATA in one write, the
// content after the 354. Each message carries `X-Bench-Id: N`, which smtp_sink counts. At the end one JSON
// line:
//   {"messages":…,"failed":…,"seconds":…,"per_second":…,"p50_ms":…,"p90_ms":…,"p99_ms":…,"max_ms":…}
// The latency is from MAIL to the reply to the final dot.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tests/bench/peer.h"

namespace holdfast::bench {
namespace {

struct Options {
  std::string address = "127.0.0.1", sender = "bench@sender.test", recipient = "user@%d.bench.test", auth;
  std::uint16_t port = 25;
  std::size_t connections = 50, per_connection = 10, size = 2048, recipients = 1;
  std::uint64_t messages = 10000, first_id = 0, destinations = 1;
  double seconds = 300;  // gives up after that
  double rate = 0;       // messages a second; 0 = as many as the server takes
  bool tls = false;
};

enum class At { greeting, ehlo, starttls, ehlo_tls, auth, waiting, envelope, content, quit };

constexpr int kTick = 2;  // milliseconds between looks at the rate

struct Session {
  explicit Session(int fd) : peer(fd) {}
  Peer peer;
  At at = At::greeting;
  std::size_t sent = 0, replies = 0;
  bool refused = false;
  double began = 0;
};

std::string base64(std::string_view text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.pop_back();
  return out;
}

class Load {
 public:
  explicit Load(Options options) : options_(std::move(options)) {
    if (options_.tls) {
      tls_ = SSL_CTX_new(TLS_client_method());  // measures; authentication of the relay is not its business
      SSL_CTX_set_session_cache_mode(tls_, SSL_SESS_CACHE_OFF);
    }
    std::string line(72, 'x');
    while (filler_.size() + line.size() + 2 < options_.size) filler_ += line + "\r\n";
    latencies_.reserve(options_.messages);
  }

  int run() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    const double start = start_ = seconds_now();
    for (std::size_t i = 0; i < options_.connections; ++i) open();
    std::vector<epoll_event> events(512);
    while (done_ + failed_ < options_.messages && open_ > 0 && seconds_now() - start < options_.seconds) {
      const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                 waiting_.empty() ? 1000 : kTick);
      for (int i = 0; i < n; ++i) serve(*static_cast<Session*>(events[static_cast<std::size_t>(i)].data.ptr));
      release();
    }
    const double took = seconds_now() - start;
    std::sort(latencies_.begin(), latencies_.end());
    std::printf(
        "{\"messages\":%lu,\"failed\":%lu,\"seconds\":%.4f,\"per_second\":%.1f,\"p50_ms\":%.3f,\"p90_ms\":%."
        "3f,"
        "\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
        done_, failed_, took, static_cast<double>(done_) / took, at(0.5), at(0.9), at(0.99), at(1.0));
    return done_ == options_.messages ? 0 : 1;
  }

 private:
  double at(double share) const {
    if (latencies_.empty()) return 0;
    const auto index = static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1));
    return latencies_[index] * 1000;
  }

  void open() {
    if (started_ >= options_.messages) return;
    auto* session = new Session(connect_to(options_.address, options_.port));
    watch(epoll_, session->peer, session, true);
    ++open_;
  }

  bool may_start() const {
    return options_.rate <= 0 || static_cast<double>(started_) < (seconds_now() - start_) * options_.rate;
  }
  void release() {
    while (!waiting_.empty() && may_start()) {
      Session& s = *waiting_.front();
      waiting_.pop_front();
      next(s);
      if (!s.peer.flush()) {
        close(s);
      } else {
        watch(epoll_, s.peer, &s, false);
      }
    }
  }

  void close(Session& s) {
    std::erase(waiting_, &s);
    delete &s;
    --open_;
    open();
  }

  void serve(Session& s) {
    const bool alive = s.peer.fill();
    std::string_view line;
    while (s.peer.line(line)) {
      if (line.size() < 4 || line[3] != ' ') {
        if (line.size() != 3) continue;  // more lines of this reply follow
      }
      if (!reply(s, line)) return close(s);
    }
    if (!s.peer.flush() || !alive) {
      if (s.at == At::envelope || s.at == At::content) ++failed_;
      return close(s);
    }
    watch(epoll_, s.peer, &s, false);
  }

  bool reply(Session& s, std::string_view line) {
    const bool good = line[0] == '2' || line[0] == '3';
    switch (s.at) {
      case At::greeting:
        s.peer.say("EHLO load.bench\r\n");
        s.at = At::ehlo;
        return good;
      case At::ehlo:
        if (!options_.tls) return ready(s) && good;
        s.peer.say("STARTTLS\r\n");
        s.at = At::starttls;
        return good;
      case At::starttls:
        s.peer.start_tls(tls_, false);
        s.peer.say("EHLO load.bench\r\n");
        s.at = At::ehlo_tls;
        return good;
      case At::ehlo_tls: return ready(s) && good;
      case At::auth:
        if (!good) die("AUTH refused: " + std::string(line));
        return next(s);
      case At::envelope:
        if (!good) {
          if (!s.refused) std::fprintf(stderr, "refused: %.*s\n", static_cast<int>(line.size()), line.data());
          s.refused = true;
        }
        if (++s.replies < 2 + options_.recipients) return true;
        if (s.refused) {
          ++failed_;
          return false;
        }
        content(s);
        return true;
      case At::content:
        if (!good) {
          ++failed_;
          std::fprintf(stderr, "refused: %.*s\n", static_cast<int>(line.size()), line.data());
        } else {
          latencies_.push_back(seconds_now() - s.began);
          ++done_;
        }
        return next(s);
      case At::waiting:  // 421, it may be
      case At::quit: return false;
    }
    return false;
  }

  bool ready(Session& s) {
    if (options_.auth.empty()) return next(s);
    const auto colon = options_.auth.find(':');
    const std::string plain = std::string(1, '\0') + options_.auth.substr(0, colon) + std::string(1, '\0') +
                              options_.auth.substr(colon + 1);
    s.peer.say("AUTH PLAIN " + base64(plain) + "\r\n");
    s.at = At::auth;
    return true;
  }

  bool next(Session& s) {
    if (s.sent == options_.per_connection || started_ >= options_.messages) {
      s.peer.say("QUIT\r\n");
      s.at = At::quit;
      return true;
    }
    if (!may_start()) {
      s.at = At::waiting;
      waiting_.push_back(&s);
      return true;
    }
    s.began = seconds_now();
    s.replies = 0;
    s.refused = false;
    id_ = options_.first_id + ++started_;
    ++s.sent;
    std::string recipient = options_.recipient;
    if (const auto mark = recipient.find("%d"); mark != std::string::npos) {
      recipient.replace(mark, 2, std::to_string(id_ % options_.destinations));
    }
    std::string envelope = "MAIL FROM:<" + options_.sender + ">\r\n";
    for (std::size_t i = 0; i < options_.recipients; ++i) {
      envelope += "RCPT TO:<" + (options_.recipients > 1 ? "r" + std::to_string(i) : std::string()) +
                  recipient + ">\r\n";
    }
    s.peer.say(envelope + "DATA\r\n");
    s.at = At::envelope;
    ids_[&s] = id_;
    return true;
  }

  void content(Session& s) {
    const std::string id = std::to_string(ids_[&s]);
    s.peer.say("From: " + options_.sender +
               "\r\nTo: u@bench.test\r\nSubject: bench\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
               "Message-ID: <" +
               id + "@load.bench>\r\nX-Bench-Id: " + id + "\r\n\r\n" + filler_ + ".\r\n");
    s.at = At::content;
  }

  Options options_;
  SSL_CTX* tls_ = nullptr;
  int epoll_ = -1;
  double start_ = 0;
  std::deque<Session*> waiting_;  // for the rate
  std::size_t open_ = 0;
  std::uint64_t started_ = 0, done_ = 0, failed_ = 0, id_ = 0;
  std::unordered_map<Session*, std::uint64_t> ids_;
  std::string filler_;
  std::vector<double> latencies_;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--tls") {
      o.tls = true;
      continue;
    }
    if (i + 1 == argc) {
      die("usage: smtp_load --port P [--address A] [--tls] [--auth USER:PASSWORD] [--messages N] "
          "[--connections N] "
          "[--per-connection N] [--size OCTETS] [--recipients N] [--recipient A@%d.D] [--destinations N] "
          "[--sender A] "
          "[--first-id N] [--seconds N] [--rate N]");
    }
    const std::string value = argv[++i];
    if (key == "--address")
      o.address = value;
    else if (key == "--port")
      o.port = static_cast<std::uint16_t>(std::stoi(value));
    else if (key == "--auth")
      o.auth = value;
    else if (key == "--messages")
      o.messages = std::stoull(value);
    else if (key == "--connections")
      o.connections = std::stoull(value);
    else if (key == "--per-connection")
      o.per_connection = std::stoull(value);
    else if (key == "--size")
      o.size = std::stoull(value);
    else if (key == "--recipients")
      o.recipients = std::stoull(value);
    else if (key == "--recipient")
      o.recipient = value;
    else if (key == "--destinations")
      o.destinations = std::stoull(value);
    else if (key == "--sender")
      o.sender = value;
    else if (key == "--first-id")
      o.first_id = std::stoull(value);
    else if (key == "--seconds")
      o.seconds = std::stod(value);
    else if (key == "--rate")
      o.rate = std::stod(value);
    else
      die("smtp_load: unknown option " + key);
  }
  return o;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  return holdfast::bench::Load(holdfast::bench::parse(argc, argv)).run();
}
