// The man in the middle at every byte (invariants 13 to 16): between the relay and the MX of an enforcing
// domain he touches one place of one direction of the first connection, up to the end of the handshake. The
// whole sending side is real: scheduler, deliverer, decide(), client session, TLS.
//
// Whatever he does: no word of the message is ever seen in clear, nothing bounces, nothing is lost, and once
// he is gone the message arrives, once, over TLS. HOLDFAST_MITM=full touches every byte, else a sample.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>

#include "smtp/base/base_error.h"
#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;

enum class Way { to_server, to_client };
enum class Fault { none, cut, drop, inject, flip, stall };
constexpr Fault kFaults[] = {Fault::cut, Fault::drop, Fault::inject, Fault::flip, Fault::stall};
constexpr const char* kEnvelopeCanary = "canary-7f3a";
constexpr const char* kBodyCanary = "canary-91bc";
constexpr const char* kSender = "canary-7f3a@origin.example";
constexpr const char* kRecipient = "user-canary-7f3a@a.example";
constexpr const char* kContent = "Subject: canary-91bc\r\n\r\ncanary-91bc\r\n";

const char* text(Fault fault) {
  constexpr const char* kNames[] = {"none", "cut", "drop", "inject", "flip", "stall"};
  return kNames[static_cast<std::size_t>(fault)];
}

struct Touch {
  Way way = Way::to_client;
  Fault fault = Fault::none;
  std::size_t at = 0;
};

// What passed on the wire, as the relay sent it and as it was sent to the relay.
struct Seen {
  std::string to_server, to_client;
  std::size_t server_end = 0, client_end = 0;  // how much had passed when the handshake was over
  bool touched = false;
};

class Middle final : public Stream {
 public:
  Middle(std::unique_ptr<Stream> next, Touch touch, Seen& seen, const TestMx& mx)
      : next_(std::move(next)), touch_(touch), seen_(seen), mx_(mx) {}

  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    if (cut_) co_return Error(BaseError::closed, "cut");
    while (held_.empty()) {
      char octets[4096];
      const std::span<char> room(octets);
      auto read = co_await next_->read_some(room);
      if (!read) co_return read.error();
      note_handshake();
      held_ = pass(Way::to_client, std::string_view(octets, *read), seen_.to_client);
      if (cut_ && held_.empty()) {
        next_->close();
        co_return Error(BaseError::closed, "cut");
      }
    }
    const std::size_t n = std::min(buffer.size(), held_.size());
    std::copy_n(held_.begin(), n, buffer.begin());
    held_.erase(0, n);
    co_return n;
  }

  asio::awaitable<Result<void>> write(std::string_view data) override {
    if (cut_) co_return Error(BaseError::reset, "cut");
    note_handshake();
    const std::string passed = pass(Way::to_server, data, seen_.to_server);
    if (!passed.empty()) {
      auto written = co_await next_->write(passed);
      if (!written) co_return written.error();
    }
    if (cut_) {
      next_->close();
      co_return Error(BaseError::reset, "cut");
    }
    co_return Result<void>();
  }

  void set_deadline(SteadyTime at) override { next_->set_deadline(at); }
  void close() override { next_->close(); }
  Peer local() const override { return next_->local(); }
  Peer remote() const override { return next_->remote(); }

 private:
  void note_handshake() {
    if (mx_.handshakes == 0 || seen_.server_end != 0) return;
    seen_.server_end = seen_.to_server.size();
    seen_.client_end = seen_.to_client.size();
  }

  // What is passed on of `data`, which begins at seen.size() of its way.
  std::string pass(Way way, std::string_view data, std::string& seen) {
    const std::size_t begin = seen.size();
    seen += data;
    if (way != touch_.way || touch_.fault == Fault::none) return std::string(data);
    if (stalled_) return "";
    if (touch_.at < begin || touch_.at >= seen.size()) return std::string(data);
    const std::size_t here = touch_.at - begin;
    std::string out(data);
    seen_.touched = true;
    switch (touch_.fault) {
      case Fault::none: break;
      case Fault::cut:
        cut_ = true;
        out.resize(here);
        break;
      case Fault::drop: out.erase(here, 1); break;
      case Fault::inject: out.insert(here, way == Way::to_client ? "250 2.0.0 ok\r\n" : "NOOP\r\n"); break;
      case Fault::flip: out[here] = static_cast<char>(out[here] ^ (1 << (touch_.at % 8))); break;
      case Fault::stall:  // nothing more comes through; the deadline has the last word
        stalled_ = true;
        out.resize(here);
        break;
    }
    return out;
  }

  std::unique_ptr<Stream> next_;
  const Touch touch_;
  Seen& seen_;
  const TestMx& mx_;
  std::string held_;
  bool cut_ = false, stalled_ = false;
};

std::shared_ptr<const TlsServerContext> certificate_up_to(int version) {
  const TestCertificate leaf = test_authority().leaf_for("mx.a.example");
  auto context = TlsServerContext::from_pem(leaf.chain_pem, leaf.key_pem, TlsVersion::tls12).value();
  SSL_CTX_set_max_proto_version(context->get(), version);
  return context;
}

bool holds(const std::string& octets, const char* word) { return octets.find(word) != std::string::npos; }

// One message to a domain, the first connection touched; "" when all promises were kept.
std::string run_once(Touch touch, std::shared_ptr<const TlsServerContext> tls, Seen& seen,
                     bool enforcing = true) {
  TestMx mx;
  mx.tls = std::move(tls);
  DeliveryFixture relay;
  relay.serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  if (enforcing) relay.enforce("a.example", {"mx.a.example"});
  unsigned connections = 0;
  relay.connector.between = [&](std::unique_ptr<Stream> stream) -> std::unique_ptr<Stream> {
    if (connections++ > 0) return stream;
    return std::make_unique<Middle>(std::move(stream), touch, seen, mx);
  };
  MessageOptions options;
  options.from = kSender;
  options.body = kContent;
  relay.start();
  relay.submit({kRecipient}, options);
  relay.pass(minutes(40), minutes(1));

  for (const std::string& wire : {seen.to_server, seen.to_client})
    if (holds(wire, kEnvelopeCanary) || holds(wire, kBodyCanary))
      return "a word of the message went in clear";
  for (const std::string& line : mx.in_clear)
    if (line.starts_with("MAIL") || line.starts_with("RCPT")) return "the server heard in clear: " + line;
  if (relay.count(RecipientState::bounced) != 0 || relay.notifications() != 0) return "it bounced";
  if (mx.taken.size() != 1) return "it arrived " + std::to_string(mx.taken.size()) + " times";
  if (!mx.taken[0].tls) return "it arrived in clear";
  if (!holds(mx.taken[0].content, kBodyCanary)) return "it arrived without its body";
  if (relay.count(RecipientState::delivered) != 1) return "it is not recorded as delivered";
  return "";
}

class ManInTheMiddle : public testing::TestWithParam<int> {};

TEST_P(ManInTheMiddle, AtEveryByteOfTheHandshakeGetsNothingAndLosesNothing) {
  const auto tls = certificate_up_to(GetParam());
  Seen sound;
  ASSERT_EQ(run_once({}, tls, sound), "");
  ASSERT_GT(sound.client_end, 500U) << "greeting, EHLO, 220 and a chain have come by then";

  const char* asked = std::getenv("HOLDFAST_MITM");
  const bool full = asked != nullptr && std::string_view(asked) == "full";
  const std::size_t step = full ? 1 : 29;
  std::size_t runs = 0, touched = 0, failures = 0;
  for (const Way way : {Way::to_server, Way::to_client}) {
    const std::size_t end = way == Way::to_server ? sound.server_end : sound.client_end;
    for (const Fault fault : kFaults) {
      // Each fault begins elsewhere, so that the sample is spread.
      for (std::size_t at = full ? 0 : static_cast<std::size_t>(fault) * 5; at < end; at += step) {
        Touch touch;
        touch.way = way;
        touch.fault = fault;
        touch.at = at;
        Seen seen;
        const std::string broken = run_once(touch, tls, seen);
        ++runs;
        touched += seen.touched ? 1 : 0;
        if (broken.empty()) continue;
        ADD_FAILURE() << text(fault) << " at octet " << at << (way == Way::to_server ? " to" : " from")
                      << " the server: " << broken;
        if (++failures > 20) return;
      }
    }
  }
  std::printf("%zu runs, %zu touched; handshake over after %zu octets to and %zu from the server\n", runs,
              touched, sound.server_end, sound.client_end);
  EXPECT_GT(touched, runs * 9 / 10);
}

// The same eyes see what goes wrong where no policy forbids it.
TEST_P(ManInTheMiddle, WouldHaveGotItWithoutThePolicy) {
  Touch touch;
  touch.fault = Fault::cut;
  touch.at = 400;  // within the server's first flight
  Seen seen;
  const std::string broken = run_once(touch, certificate_up_to(GetParam()), seen, false);
  EXPECT_TRUE(seen.touched);
  EXPECT_TRUE(broken.starts_with("the server heard in clear: MAIL")) << broken;
}

INSTANTIATE_TEST_SUITE_P(Versions, ManInTheMiddle, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

}  // namespace
}  // namespace holdfast
