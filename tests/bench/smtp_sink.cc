// tests/bench/smtp_sink.cc — takes every message and counts it: the far end of the benchmarks.
//
// Messages carry `X-Bench-Id: N` (tests/bench/smtp_load.cc); the sink knows which came, and which came twice.
// On SIGTERM, or once --expect distinct messages for --expect-recipients recipients are there, it prints one
// JSON line and ends. A relay may send a message of many recipients in parts: then the recipients are to be
// counted.
//   {"messages":…,"distinct":…,"duplicates":…,"recipients":…,"connections":…,"seconds":…}   (first to last
//   message)
#include <openssl/err.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tests/bench/peer.h"

namespace holdfast::bench {
namespace {

struct Options {
  std::string address = "127.0.0.1", certificate, key;
  std::uint16_t port = 0;
  std::uint64_t expect = 0, expect_recipients = 0;
  double delay = 0;   // seconds before each reply
  bool mute = false;  // accepts TCP and never speaks
  bool chunking = true;
  bool auth = false;  // offers AUTH PLAIN under TLS and believes everyone
};

// Replies due within so short a time leave together (seconds).
constexpr double kTogether = 0.0001;

enum class In { commands, data, chunk };

struct Session {
  Session(int fd, std::uint64_t n) : peer(fd), number(n) {}
  Peer peer;
  std::uint64_t number;
  In in = In::commands;
  std::size_t chunk_left = 0;
  bool last_chunk = false;
  std::uint64_t recipients = 0;  // of the transaction
  std::string head;              // the beginning of the content, where the id stands
  char tail[5] = {0};            // the last octets of DATA, to find CRLF.CRLF
  bool tls_next = false, quit = false, auth_line = false;
};

class Sink {
 public:
  explicit Sink(Options options) : options_(std::move(options)) {
    if (!options_.certificate.empty()) {
      tls_ = SSL_CTX_new(TLS_server_method());
      SSL_CTX_set_session_cache_mode(tls_, SSL_SESS_CACHE_OFF);
      SSL_CTX_set_num_tickets(tls_, 0);
      if (SSL_CTX_use_certificate_chain_file(tls_, options_.certificate.c_str()) != 1 ||
          SSL_CTX_use_PrivateKey_file(tls_, options_.key.c_str(), SSL_FILETYPE_PEM) != 1) {
        die("no usable certificate in " + options_.certificate + " and key in " + options_.key);
      }
    }
  }

  int run() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    const int listener = listen_on(options_.address, options_.port);
    std::printf("{\"port\":%u}\n", options_.port);
    std::fflush(stdout);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, nullptr);
    const int signals = ::signalfd(-1, &stop, SFD_CLOEXEC);
    add(listener);
    add(signals);
    std::vector<epoll_event> events(512);
    while (options_.expect == 0 || distinct_ < options_.expect || recipients_ < options_.expect_recipients) {
      const auto wait = next_delayed();
      const int n = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()),
                                   wait ? &*wait : nullptr, nullptr);
      for (int i = 0; i < n; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 == static_cast<std::uint64_t>(signals)) return report();
        if (event.data.u64 == static_cast<std::uint64_t>(listener)) {
          accept_all(listener);
        } else if (auto found = sessions_.find(event.data.u64); found != sessions_.end()) {
          serve(*found->second);
        }
      }
      release_delayed();
    }
    return report();
  }

 private:
  void add(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<std::uint64_t>(fd);
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void accept_all(int listener) {
    while (true) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      // Session numbers start above all descriptors, which share the event's field.
      auto session = std::make_unique<Session>(fd, ++next_);
      ++connections_;
      watch(epoll_, session->peer, reinterpret_cast<void*>(session->number), true);
      auto& s = *sessions_.emplace(session->number, std::move(session)).first->second;
      if (!options_.mute) {
        answer(s, "220 sink.bench ESMTP\r\n");
        s.peer.flush();
      }
    }
  }

  void answer(Session& s, std::string_view text) {
    if (options_.delay <= 0) {
      s.peer.say(text);
    } else {
      delayed_.push_back({seconds_now() + options_.delay, s.number, std::string(text)});
    }
  }

  // In nanoseconds: a delay that is rounded up would count against the relay.
  std::optional<timespec> next_delayed() const {
    if (delayed_.empty()) return std::nullopt;
    const double wait = std::max(0.0, delayed_.front().at - seconds_now());
    timespec out{};
    out.tv_sec = static_cast<time_t>(wait);
    out.tv_nsec = static_cast<long>((wait - static_cast<double>(out.tv_sec)) * 1e9);
    return out;
  }

  // Replies of one session that are due together leave together, as RFC 2920 section 3.2 asks of servers.
  void release_delayed() {
    const double now = seconds_now();
    std::vector<std::uint64_t> answered;
    while (!delayed_.empty() && delayed_.front().at <= now + kTogether) {
      auto found = sessions_.find(delayed_.front().session);
      if (found != sessions_.end()) {
        found->second->peer.say(delayed_.front().text);
        if (answered.empty() || answered.back() != found->first) answered.push_back(found->first);
      }
      delayed_.pop_front();
    }
    for (const std::uint64_t number : answered)
      if (auto found = sessions_.find(number); found != sessions_.end()) finish(*found->second);
  }

  void serve(Session& s) {
    bool open = s.peer.fill();
    if (!options_.mute) consume(s);
    if (!open && s.peer.rest().empty()) {
      sessions_.erase(s.number);
      return;
    }
    finish(s);
  }

  void finish(Session& s) {
    if (!s.peer.flush() || (s.quit && !s.peer.wants_write() && delayed_.empty())) {
      sessions_.erase(s.number);
      return;
    }
    if (s.tls_next && !s.peer.tls() && !pending(s)) s.peer.start_tls(tls_, true);
    watch(epoll_, s.peer, reinterpret_cast<void*>(s.number), false);
  }

  bool pending(const Session& s) const {
    for (const auto& d : delayed_) {
      if (d.session == s.number) return true;
    }
    return false;
  }

  void consume(Session& s) {
    while (true) {
      if (s.in == In::data) {
        if (!data(s)) return;
      } else if (s.in == In::chunk) {
        if (!chunk(s)) return;
      } else {
        std::string_view line;
        if (!s.peer.line(line)) return;
        command(s, line);
      }
    }
  }

  bool data(Session& s) {
    // A final dot may straddle two reads: its beginning stays in the buffer until the rest has come.
    const auto here = s.peer.rest();
    const auto end = here.find("\r\n.\r\n");
    const std::size_t content =
        end == std::string_view::npos ? (here.size() < 4 ? 0 : here.size() - 4) : end + 2;
    if (s.head.size() < 4096) s.head.append(here.substr(0, std::min(content, std::size_t{4096})));
    if (end == std::string_view::npos) {
      s.peer.take(content);
      return false;
    }
    s.peer.take(end + 5);
    s.in = In::commands;
    count(s);
    answer(s, "250 2.0.0 taken\r\n");
    return true;
  }

  bool chunk(Session& s) {
    const auto here = s.peer.rest().substr(0, s.chunk_left);
    if (here.empty() && s.chunk_left > 0) return false;
    if (s.head.size() < 4096) s.head.append(here.substr(0, 4096));
    s.chunk_left -= here.size();
    s.peer.take(here.size());
    if (s.chunk_left > 0) return false;
    s.in = In::commands;
    if (s.last_chunk) count(s);
    answer(s, "250 2.0.0 taken\r\n");
    return true;
  }

  void command(Session& s, std::string_view line) {
    if (s.auth_line) {
      s.auth_line = false;
      return answer(s, "235 2.7.0 welcome\r\n");
    }
    const auto verb = line.substr(0, 4);
    if (verb == "EHLO") {
      std::string reply = "250-sink.bench\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n";
      if (options_.chunking) reply += "250-CHUNKING\r\n";
      if (tls_ != nullptr && !s.peer.tls()) reply += "250-STARTTLS\r\n";
      if (options_.auth && s.peer.tls()) reply += "250-AUTH PLAIN\r\n";
      answer(s, reply + "250 ENHANCEDSTATUSCODES\r\n");
    } else if (verb == "STAR" && tls_ != nullptr) {
      answer(s, "220 2.0.0 go\r\n");
      s.tls_next = true;
    } else if (verb == "AUTH") {
      const bool whole = line.size() > 11;  // "AUTH PLAIN " and the response; else it comes in its own line
      answer(s, whole ? "235 2.7.0 welcome\r\n" : "334 \r\n");
      s.auth_line = !whole;
    } else if (verb == "DATA") {
      s.in = In::data;
      s.head.clear();
      answer(s, "354 go\r\n");
    } else if (verb == "BDAT") {
      s.in = In::chunk;
      const auto number = line.substr(5);
      std::from_chars(number.data(), number.data() + number.size(), s.chunk_left);
      s.last_chunk = line.ends_with("LAST");
    } else if (verb == "QUIT") {
      answer(s, "221 2.0.0 bye\r\n");
      s.quit = true;
    } else {
      if (verb == "MAIL") {
        s.head.clear();
        s.recipients = 0;
      } else if (verb == "RCPT") {
        ++s.recipients;
      }
      answer(s, "250 2.0.0 ok\r\n");
    }
  }

  void count(Session& s) {
    last_ = seconds_now();
    if (messages_++ == 0) first_ = last_;
    recipients_ += s.recipients;
    constexpr std::string_view kField = "X-Bench-Id: ";
    const auto at = s.head.find(kField);
    std::uint64_t id = 0;
    if (at != std::string::npos) {
      const auto* begin = s.head.data() + at + kField.size();
      std::from_chars(begin, s.head.data() + s.head.size(), id);
    }
    if (id >= seen_.size()) seen_.resize(id * 2 + 1024);
    if (seen_[id]) {
      ++duplicates_;
    } else {
      seen_[id] = true;
      ++distinct_;
    }
  }

  int report() const {
    std::printf(
        "{\"messages\":%lu,\"distinct\":%lu,\"duplicates\":%lu,\"recipients\":%lu,\"connections\":%lu,"
        "\"seconds\":%.6f}\n",
        messages_, distinct_, duplicates_, recipients_, connections_, last_ - first_);
    return 0;
  }

  struct Delayed {
    double at;
    std::uint64_t session;
    std::string text;
  };

  Options options_;
  SSL_CTX* tls_ = nullptr;
  int epoll_ = -1;
  std::uint64_t next_ = 1'000'000;
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::deque<Delayed> delayed_;
  std::vector<bool> seen_;
  std::uint64_t messages_ = 0, distinct_ = 0, duplicates_ = 0, recipients_ = 0, connections_ = 0;
  double first_ = 0, last_ = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--mute") {
      options.mute = true;
    } else if (key == "--auth") {
      options.auth = true;
    } else if (key == "--no-chunking") {
      options.chunking = false;
    } else if (i + 1 == argc) {
      die("usage: smtp_sink [--address A] [--port P] [--certificate PEM --key PEM] [--expect N] "
          "[--expect-recipients N] [--delay-ms N] [--mute] [--no-chunking] [--auth]");
    } else if (key == "--address") {
      options.address = argv[++i];
    } else if (key == "--port") {
      options.port = static_cast<std::uint16_t>(std::stoi(argv[++i]));
    } else if (key == "--certificate") {
      options.certificate = argv[++i];
    } else if (key == "--key") {
      options.key = argv[++i];
    } else if (key == "--expect") {
      options.expect = std::stoull(argv[++i]);
    } else if (key == "--expect-recipients") {
      options.expect_recipients = std::stoull(argv[++i]);
    } else if (key == "--delay-ms") {
      options.delay = std::stod(argv[++i]) / 1000;
    } else {
      die("smtp_sink: unknown option " + key);
    }
  }
  return options;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  return holdfast::bench::Sink(holdfast::bench::parse(argc, argv)).run();
}
