#include "smtp/dns/cares_resolver.h"

#include <ares.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <unordered_set>

#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "smtp/dns/dns_message.h"

namespace holdfast {
namespace {

constexpr int kUdpPayload = 1232;  // what passes every path in one piece (DNS flag day 2020)
constexpr int kTries = 2;
// c-ares waits t, then 2t, on each of n servers: 3nt in all.
constexpr int kTimeUnits = 3;
constexpr Millis kLeastTry{100};
// Queries at one time; more wait their turn. Far below the 65536 ids, which must stay hard to guess.
constexpr std::size_t kMaxPending = 1000;

const char* type_name(RecordType type) {
  switch (type) {
    case RecordType::a: return "A";
    case RecordType::cname: return "CNAME";
    case RecordType::soa: return "SOA";
    case RecordType::ptr: return "PTR";
    case RecordType::mx: return "MX";
    case RecordType::txt: return "TXT";
    case RecordType::aaaa: return "AAAA";
    case RecordType::tlsa: return "TLSA";
  }
  return "other";
}

// One question on the wire. Shared by the coroutine that waits and the callback, whichever ends last.
struct Question {
  Notifier done;
  std::optional<int> status;  // of c-ares
  std::vector<std::uint8_t> reply;
};

// The library's global state, initialised once per process and never given back: other threads may use it.
int initialise_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

std::string server_list(const std::vector<Peer>& servers) {
  std::string list;
  for (const auto& server : servers) {
    if (!list.empty()) list += ',';
    list += is_v4(server.ip) ? fmt::format("{}:{}", server.text(), server.port)
                             : fmt::format("[{}]:{}", server.text(), server.port);
  }
  return list;
}

}  // namespace

struct CaresResolver::Channel : std::enable_shared_from_this<Channel> {
  Channel(Executor where, Clock& clock_used, Random& random_used, Metrics& metrics_used, bool believe)
      : executor(std::move(where)),
        clock(clock_used),
        random(random_used),
        metrics(metrics_used),
        believe_ad(believe),
        timer(clock.make_timer(executor)) {}

  struct Socket {
    explicit Socket(Executor where, int fd) : descriptor(std::move(where), fd) {}
    asio::posix::stream_descriptor descriptor;
    bool want_read = false, want_write = false;
    bool reading = false, writing = false;  // a wait is under way
  };
  using SocketPtr = std::shared_ptr<Socket>;

  int open(const std::string& servers, int try_ms);
  void close();
  asio::awaitable<Result<DnsReply>> ask(std::string name, RecordType type);

  static void on_socket_state(void* data, int fd, int readable, int writable);
  static void on_reply(void* arg, int status, int timeouts, unsigned char* reply, int length);
  void watch(const SocketPtr& socket);
  void process(int readable, int writable);
  void schedule();
  std::uint16_t take_id();

  Executor executor;
  Clock& clock;
  Random& random;
  Metrics& metrics;
  bool believe_ad;
  ares_channel channel = nullptr;  // null once closed
  std::map<int, SocketPtr> sockets;
  std::unordered_set<std::uint16_t> ids;  // of pending questions
  Notifier room;                          // a pending question has ended
  std::unique_ptr<Timer> timer;
};

namespace {

struct Pending {
  std::weak_ptr<CaresResolver::Channel> channel;
  std::shared_ptr<Question> question;
  std::uint16_t id;
};

}  // namespace

int CaresResolver::Channel::open(const std::string& servers, int try_ms) {
  char lookups[] = "b";          // DNS only, no hosts file
  char no_file[] = "/dev/null";  // the servers are ours to choose
  ares_options options{};
  options.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = try_ms;
  options.tries = kTries;
  options.ednspsz = kUdpPayload;
  options.lookups = lookups;
  options.resolvconf_path = no_file;
  options.sock_state_cb = &on_socket_state;
  options.sock_state_cb_data = this;
  constexpr int kMask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS |
                        ARES_OPT_NOROTATE | ARES_OPT_LOOKUPS | ARES_OPT_EDNSPSZ | ARES_OPT_RESOLVCONF |
                        ARES_OPT_SOCK_STATE_CB;
  const int status = ares_init_options(&channel, &options, kMask);
  if (status != ARES_SUCCESS) return status;
  return ares_set_servers_ports_csv(channel, servers.c_str());
}

void CaresResolver::Channel::close() {
  timer->cancel();
  // Ends every pending question by its callback, and every socket by on_socket_state.
  if (channel) ares_destroy(std::exchange(channel, nullptr));
  room.notify();
}

void CaresResolver::Channel::on_socket_state(void* data, int fd, int readable, int writable) {
  auto& self = *static_cast<Channel*>(data);
  const auto found = self.sockets.find(fd);
  if (!readable && !writable) {
    if (found == self.sockets.end()) return;
    found->second->want_read = found->second->want_write = false;
    found->second->descriptor.release();  // c-ares closes it
    self.sockets.erase(found);
    return;
  }
  const auto socket =
      found != self.sockets.end()
          ? found->second
          : self.sockets.emplace(fd, std::make_shared<Socket>(self.executor, fd)).first->second;
  socket->want_read = readable != 0;
  socket->want_write = writable != 0;
  self.watch(socket);
}

void CaresResolver::Channel::watch(const SocketPtr& socket) {
  using Descriptor = asio::posix::stream_descriptor;
  if (socket->want_read && !socket->reading) {
    socket->reading = true;
    socket->descriptor.async_wait(
        Descriptor::wait_read, [self = weak_from_this(), socket](boost::system::error_code error) {
          socket->reading = false;
          const auto alive = self.lock();
          if (!alive || !socket->want_read) return;  // given back to c-ares meanwhile
          alive->process(error ? ARES_SOCKET_BAD : socket->descriptor.native_handle(), ARES_SOCKET_BAD);
          if (!error && socket->descriptor.is_open()) alive->watch(socket);
        });
  }
  if (socket->want_write && !socket->writing) {
    socket->writing = true;
    socket->descriptor.async_wait(
        Descriptor::wait_write, [self = weak_from_this(), socket](boost::system::error_code error) {
          socket->writing = false;
          const auto alive = self.lock();
          if (!alive || !socket->want_write) return;
          alive->process(ARES_SOCKET_BAD, error ? ARES_SOCKET_BAD : socket->descriptor.native_handle());
          if (!error && socket->descriptor.is_open()) alive->watch(socket);
        });
  }
}

void CaresResolver::Channel::process(int readable, int writable) {
  if (!channel) return;
  ares_process_fd(channel, readable, writable);
  schedule();
}

void CaresResolver::Channel::schedule() {
  timeval space{};
  const timeval* wait = channel ? ares_timeout(channel, nullptr, &space) : nullptr;
  if (!wait) return timer->cancel();
  // Rounded up by a millisecond: fired a moment early, c-ares would find nothing due.
  const auto time = std::chrono::seconds(wait->tv_sec) + std::chrono::microseconds(wait->tv_usec) +
                    std::chrono::milliseconds(1);
  timer->arm(clock.now() + time, [this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); });
}

std::uint16_t CaresResolver::Channel::take_id() {
  for (;;) {
    const auto id = static_cast<std::uint16_t>(random.below(0x10000));
    if (ids.insert(id).second) return id;
  }
}

void CaresResolver::Channel::on_reply(void* arg, int status, int, unsigned char* reply, int length) {
  const std::unique_ptr<Pending> pending(static_cast<Pending*>(arg));
  if (const auto channel = pending->channel.lock()) {
    channel->ids.erase(pending->id);
    channel->room.notify();
  }
  pending->question->status = status;
  if (reply && length > 0) pending->question->reply.assign(reply, reply + length);
  pending->question->done.notify();
}

asio::awaitable<Result<DnsReply>> CaresResolver::Channel::ask(std::string name, RecordType type) {
  const auto self = shared_from_this();  // the resolver may go while this waits
  const auto stopped = [] { return Error(BaseError::cancelled, "the resolver was stopped"); };
  while (ids.size() >= kMaxPending) {
    const bool notified = co_await room.wait();
    if (!notified || !channel) co_return stopped();
  }
  if (!channel) co_return stopped();

  const std::uint16_t id = take_id();
  unsigned char* raw = nullptr;
  int length = 0;
  const std::string wire_name = name.empty() ? "." : name;
  const int made =
      ares_create_query(wire_name.c_str(), 1, static_cast<int>(type), id, 1, &raw, &length, kUdpPayload);
  const std::unique_ptr<unsigned char, void (*)(void*)> query(raw, &ares_free_string);
  if (made != ARES_SUCCESS) {
    ids.erase(id);
    co_return Error(BaseError::malformed, "no DNS name: " + name);
  }
  query.get()[3] |= 0x20;  // AD
  auto question = std::make_shared<Question>();
  auto pending = std::make_unique<Pending>(Pending{self, question, id});
  ares_send(channel, query.get(), length, &on_reply, pending.release());
  schedule();
  while (!question->status) {
    const bool notified = co_await question->done.wait();
    if (!notified) co_return Error(BaseError::cancelled);
  }
  if (*question->status == ARES_ETIMEOUT) co_return Error(BaseError::timed_out);
  if (*question->status != ARES_SUCCESS) co_return Error(BaseError::io, ares_strerror(*question->status));
  co_return parse_reply(question->reply, id, name, type);
}

CaresResolver::CaresResolver(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
CaresResolver::~CaresResolver() { channel_->close(); }

Result<std::unique_ptr<CaresResolver>> CaresResolver::create(Executor executor, Clock& clock, Random& random,
                                                             Metrics& metrics, const DnsServers& servers,
                                                             Millis timeout) {
  const auto failed = [](int status) {
    return Error(BaseError::io, std::string("c-ares: ") + ares_strerror(status));
  };
  if (const int status = initialise_library(); status != ARES_SUCCESS) return failed(status);
  auto channel = std::make_shared<Channel>(executor, clock, random, metrics, servers.believe_ad);
  const auto units = static_cast<std::int64_t>(servers.servers.size()) * kTimeUnits;
  const auto try_time = std::max(kLeastTry, timeout / std::max<std::int64_t>(units, 1));
  std::unique_ptr<CaresResolver> resolver(new CaresResolver(channel));  // closes the channel on every way out
  const int status = channel->open(server_list(servers.servers), static_cast<int>(try_time.count()));
  if (status != ARES_SUCCESS) return failed(status);
  return resolver;
}

asio::awaitable<DnsAnswer> CaresResolver::query(std::string name, RecordType type) {
  const auto channel = channel_;
  const auto start = channel->clock.now();
  // RFC 4343: case does not matter, and selectors and host names of a configuration come in any.
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (name.ends_with('.')) name.pop_back();
  DnsAnswer answer;
  answer.name = name;
  answer.ttl = std::chrono::seconds::max();
  bool secure = channel->believe_ad;
  int hops = 0;
  for (bool more = true; more;) {
    auto reply = co_await channel->ask(answer.name, type);
    if (!reply || reply->truncated) {
      const bool late = !reply && reply.error().is(BaseError::timed_out);
      reply = DnsReply();
      reply->name = answer.name;
      reply->status = late ? DnsStatus::timed_out : DnsStatus::server_failure;
    }
    secure = secure && reply->authenticated;
    hops += reply->aliases;
    more = reply->unfinished;
    answer.status = hops > kMaxCnameHops ? DnsStatus::cname_limit : reply->status;
    if (answer.status == DnsStatus::cname_limit) more = false;
    if (reply->aliases > 0) answer.alias_secure = secure;
    answer.ttl = std::min(answer.ttl, reply->ttl);
    answer.name = std::move(reply->name);
    if (answer.status == DnsStatus::ok) answer.records = std::move(reply->records);
  }
  const bool known = answer.status == DnsStatus::ok || answer.status == DnsStatus::no_data ||
                     answer.status == DnsStatus::nx_domain;
  answer.secure = known && secure;
  if (!known) {
    answer.alias_secure = false;
    answer.ttl = std::chrono::seconds(0);
  }
  if (!channel->channel) co_return answer;  // the resolver is gone, and with it what follows refers to
  const std::chrono::duration<double> took = channel->clock.now() - start;
  channel->metrics.histogram("dns_lookup_duration_seconds", {{"type", type_name(type)}})
      .observe(took.count());
  co_return answer;
}

asio::awaitable<bool> validates_dnssec(Resolver& resolver) {
  const auto answer = co_await resolver.query("", RecordType::soa);
  co_return answer.status == DnsStatus::ok&& answer.secure;
}

}  // namespace holdfast
