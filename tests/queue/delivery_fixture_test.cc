// The parts of delivery_fixture.h, and that they work: a mail server on a
// stream, a relay around it.
#include "tests/queue/delivery_fixture.h"

#include <gtest/gtest.h>

namespace holdfast {

asio::awaitable<std::optional<std::string>> TestMxSession::line() {
  for (;;) {
    const auto end = buffer_.find("\r\n");
    if (end != std::string::npos) {
      std::string out = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      if (!tls_) mx_.in_clear.push_back(out);
      co_return out;
    }
    std::array<char, 4096> chunk;
    auto n = co_await stream_->read_some(chunk);
    if (!n) co_return std::nullopt;
    buffer_.append(chunk.data(), *n);
  }
}

asio::awaitable<bool> TestMxSession::say(std::string text) {
  if (text.empty()) {
    stream_->close();
    co_return false;
  }
  if (mx_.answers_after > Duration(0)) {
    const bool slept = co_await sleep_for(*mx_.clock, mx_.answers_after);
    if (!slept) co_return false;
  }
  text += "\r\n";
  auto sent = co_await stream_->write(text);
  co_return sent.has_value();
}

std::string TestMxSession::ehlo() const {
  std::vector<std::string> lines = {"mx.test"};
  lines.insert(lines.end(), mx_.extensions.begin(), mx_.extensions.end());
  if (tls_) lines.insert(lines.end(), mx_.tls_extensions.begin(), mx_.tls_extensions.end());
  if (mx_.tls && mx_.offers_starttls && !tls_) lines.push_back("STARTTLS");
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i)
    out += std::string(i == 0 ? "" : "\r\n") + "250" + (i + 1 == lines.size() ? " " : "-") + lines[i];
  return out;
}

asio::awaitable<void> TestMxSession::run() {
  co_await asio::this_coro::throw_if_cancelled(false);
  if (mx_.silent) {
    co_await line();
    co_return;
  }
  bool going = co_await say(mx_.greeting);
  while (going) {
    auto text = co_await line();
    if (!text) co_return;
    going = co_await command(std::move(*text));
  }
}

asio::awaitable<bool> TestMxSession::command(std::string text) {
  if (reading_content_) {
    if (text != ".") {
      now_.content += (text.starts_with(".") ? text.substr(1) : text) + "\r\n";
      co_return true;
    }
    reading_content_ = false;
    const std::string reply = mx_.final_dot ? mx_.final_dot() : "250 2.0.0 taken";
    if (reply.starts_with("250") || reply == "taken-but-lost") mx_.taken.push_back(now_);
    const std::string said = reply == "taken-but-lost" ? "" : reply;
    co_return co_await say(said);
  }
  const std::string verb = text.substr(0, 4);
  if (verb == "EHLO" || verb == "HELO") {
    const std::string own = mx_.ehlo_under_tls == "drop" ? "" : mx_.ehlo_under_tls;
    const std::string reply = tls_ && !mx_.ehlo_under_tls.empty() ? own : ehlo();
    co_return co_await say(reply);
  }
  if (verb == "QUIT") {
    co_await say("221 2.0.0 bye");
    co_return false;
  }
  if (verb == "RSET" || verb == "NOOP") co_return co_await say("250 2.0.0 ok");
  if (verb == "AUTH") {
    mx_.authenticated = text;
    co_return co_await say("235 2.7.0 ok");
  }
  if (text == "STARTTLS") {
    const bool sent = co_await say(mx_.starttls);
    if (!sent || !mx_.starttls.starts_with("220")) co_return sent;
    buffer_.clear();
    auto handshake = co_await tls_accept(std::move(stream_), mx_.tls);
    if (!handshake.stream) co_return false;
    stream_ = std::move(handshake.stream);
    ++mx_.handshakes;
    tls_ = true;
    co_return true;
  }
  const auto from = text.find('<') + 1;
  const std::string path = from == 0 ? "" : text.substr(from, text.find('>') - from);
  if (verb == "MAIL") {
    now_ = TestMx::Taken();
    now_.from = path;
    now_.mail_command = text;
    now_.tls = tls_;
    now_.ip = ip_;
    const std::string reply = mx_.mail ? mx_.mail(now_.from) : "250 2.1.0 ok";
    in_transaction_ = reply.starts_with("250");
    co_return co_await say(reply);
  }
  // RFC 5321 section 3.3: behind a refused MAIL nothing counts.
  if ((verb == "RCPT" || verb == "DATA") && !in_transaction_) co_return co_await say("503 5.5.1 MAIL first");
  if (verb == "RCPT") {
    const std::string reply = mx_.rcpt ? mx_.rcpt(path) : "250 2.1.5 ok";
    if (reply.starts_with("250")) now_.to.push_back(path);
    co_return co_await say(reply);
  }
  if (verb == "DATA") {
    if (now_.to.empty()) co_return co_await say("554 5.5.1 no valid recipients");
    const std::string reply = mx_.data ? mx_.data() : "354 go on";
    reading_content_ = reply.starts_with("354");
    co_return co_await say(reply);
  }
  co_return co_await say("500 5.5.2 what");
}

asio::awaitable<Result<std::unique_ptr<Stream>>> TestConnector::connect(ConnectTarget target, Duration) {
  targets.push_back(target);
  const std::string ip = ip_text(target.ip);
  const auto found = servers.find(ip);
  if (found == servers.end() || found->second->refuses_connections)
    co_return Error(BaseError::unreachable, "nobody at " + ip);
  StreamPair pair = make_stream_pair(executor_, clock_);
  found->second->clock = &clock_;
  auto session = std::make_shared<TestMxSession>(*found->second, std::move(pair.server), ip);
  asio::co_spawn(executor_, session->run(), [session](std::exception_ptr) {});
  if (between) pair.client = between(std::move(pair.client));
  co_return std::move(pair.client);
}

asio::awaitable<TlsPlan> TestPlanner::plan(PlanRequest request) {
  if (before) before(request);
  requests.push_back(request);
  StsLookup sts;
  sts.state = StsLookup::State::absent;
  if (const auto found = policies.find(request.next_hop.text()); found != policies.end()) sts = found->second;
  std::vector<MxFacts> facts;
  for (const auto& host : request.mx.hosts) {
    MxFacts fact;
    fact.addresses = co_await lookup_addresses(dns_, host.name, request.ip);
    facts.push_back(std::move(fact));
  }
  co_return decide(request, sts, facts);
}

const TestAuthority& test_authority() {
  static const TestAuthority authority;
  return authority;
}

std::shared_ptr<const TlsServerContext> certificate_for(const std::string& host) {
  static std::map<std::string, std::shared_ptr<const TlsServerContext>> made;
  auto& context = made[host];
  if (!context) {
    const TestCertificate leaf = test_authority().leaf_for(host);
    context = TlsServerContext::from_pem(leaf.chain_pem, leaf.key_pem, TlsVersion::tls12).value();
  }
  return context;
}

DeliveryFixture::DeliveryFixture(Settings settings, unsigned workers, std::uint64_t seed, std::size_t window,
                                 Duration gather)
    : random(seed), connector(context.get_executor(), clock) {
  static const TemporaryFile roots(test_authority().root.pem);
  static const auto trusted = TlsClientContexts::create(roots.path()).value();
  contexts = trusted;
  reload(std::move(settings));
  // Bounces stay in the queue, where tests look at them.
  dns.fail("origin.example", DnsStatus::server_failure);
  Scheduler::Parts parts{
      context.get_executor(), clock, timeline, random, log, store, source, "test", window, gather};
  scheduler = std::make_unique<Scheduler>(std::move(parts));
  for (unsigned i = 0; i < workers; ++i) {
    DeliveryContext of{
        context.get_executor(),      clock,  timeline, random,   log, metrics, store, dns, planner, connector,
        [this] { return contexts; }, ledger, budget,   &observer};
    deliverers.push_back(std::make_unique<Deliverer>(std::move(of), *scheduler));
    scheduler->add_agent(*deliverers.back());
  }
}

DeliveryFixture::~DeliveryFixture() {
  if (!stopped) stop();
}

void DeliveryFixture::stop(Duration grace) {
  stopped = true;
  run(context, clock, scheduler->stop(grace));
}

void DeliveryFixture::serve(TestMx& mx, const std::string& domain, const std::string& host,
                            const std::string& ip, std::uint16_t preference) {
  connector.servers[ip] = &mx;
  dns.mx(domain, preference, host);
  dns.address(host, ip);
}

QueueId DeliveryFixture::submit(const std::vector<std::string>& recipients, MessageOptions options) {
  Accept accept;
  accept.meta.id = QueueId::make(clock.wall(), random);
  accept.meta.origin = "submission";
  if (!options.from.empty()) accept.meta.reverse_path = Mailbox::parse(options.from).value();
  accept.meta.accepted = timeline.now();
  accept.meta.release = timeline.now() + std::chrono::duration_cast<std::chrono::microseconds>(options.hold);
  accept.meta.expires =
      accept.meta.release + std::chrono::duration_cast<std::chrono::microseconds>(options.lifetime);
  accept.meta.tls = options.tls;
  accept.meta.counts_in_tlsrpt = options.counts_in_tlsrpt;
  accept.meta.body_type = options.body_type;
  accept.meta.envelope_id = options.envelope_id;
  accept.meta.dsn_return = options.dsn_return;
  accept.meta.smtputf8 = options.smtputf8;
  accept.prefix = "Received: by relay.example\r\n";
  accept.body = store.stage_body();
  run(context, accept.body->write(options.body)).value();
  run(context, accept.body->finish()).value();
  for (const auto& to : recipients) {
    NewRecipient r;
    r.address = Mailbox::parse(to).value();
    r.dsn.notify = options.notify;
    if (const auto own = options.dsn.find(to); own != options.dsn.end()) r.dsn = own->second;
    accept.recipients.push_back(std::move(r));
  }
  accept.claim = options.claim && scheduler->has_room();
  const QueueId id = accept.meta.id;
  Batch batch;
  batch.accept.push_back(std::move(accept));
  auto applied = run(context, store.apply(std::move(batch)));
  if (!applied) return submit(recipients, std::move(options));  // a fault that was meant for somebody else
  ApplyResult result = std::move(*applied);
  if (result.accepted.front().claims.empty()) {
    scheduler->look_again();
  } else {
    scheduler->offer(std::move(result.accepted.front().claims));
  }
  settle();
  return id;
}

void DeliveryFixture::pass(Duration time, Duration step) {
  for (Duration gone{0}; gone < time; gone += step) advance(step);
}

void DeliveryFixture::enforce(const std::string& domain, const std::vector<std::string>& mx, StsMode mode) {
  StsLookup lookup;
  lookup.state = StsLookup::State::present;
  CachedPolicy cached;
  cached.domain = DomainName::parse(domain).value();
  cached.id = "1";
  cached.policy.mode = mode;
  cached.policy.max_age = std::chrono::hours(24);
  cached.policy.mx = mx;
  cached.policy.lines = {"version: STSv1", std::string("mode: ") + name(mode)};
  cached.expires = clock.wall() + std::chrono::hours(10000);
  lookup.cached = cached;
  planner.policies[domain] = lookup;
}

std::vector<QueueRow> DeliveryFixture::rows(std::optional<RecipientState> state) {
  QueueFilter filter;
  filter.state = state;
  filter.limit = 1000000;
  return run(context, store.list(filter)).value();
}

std::vector<QueueRow> DeliveryFixture::rows_of(QueueId id, std::optional<RecipientState> state) {
  QueueFilter filter;
  filter.state = state;
  filter.id = id;
  return run(context, store.list(filter)).value();
}

std::string DeliveryFixture::reason_of(const std::string& to) {
  QueueFilter filter;
  filter.to = to;
  const auto found = run(context, store.list(filter)).value();
  return found.empty() ? "" : found.front().reason;
}

std::string DeliveryFixture::told_of(const std::string& address) {
  for (const auto& row : rows()) {
    if (!row.meta->is_bounce) continue;
    const std::string text = store.content(row.meta->id).value_or("");
    const auto at = text.find("Final-Recipient: rfc822; " + address + "\r\n");
    if (at == std::string::npos) continue;
    const std::string block = text.substr(at, text.find("\r\n\r\n", at) - at) + "\r\n";
    const auto field = [&](const std::string& key) -> std::string {
      const auto start = block.find("\r\n" + key + ": ");
      if (start == std::string::npos) return "";
      const auto from = start + key.size() + 4;
      return block.substr(from, block.find("\r\n", from) - from);
    };
    const std::string policy = field("X-Holdfast-TLS-Policy");
    return field("Action") + " " + field("Status") + (policy.empty() ? "" : " (" + policy + ")");
  }
  return "";
}

std::size_t DeliveryFixture::notifications() {
  std::size_t n = 0;
  for (const auto& row : rows()) n += row.meta->is_bounce ? 1 : 0;
  return n;
}

namespace {

TEST(DeliveryFixture, CarriesAMessageFromTheStoreToAServer) {
  TestMx mx;
  DeliveryFixture relay;
  relay.serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay.start();
  relay.submit({"user@a.example"});
  relay.advance(std::chrono::seconds(1));
  ASSERT_EQ(mx.taken.size(), 1U);
  EXPECT_EQ(mx.taken[0].from, "sender@origin.example");
  EXPECT_EQ(mx.taken[0].content, "Received: by relay.example\r\nSubject: test\r\n\r\nHello\r\n");
  EXPECT_EQ(relay.count(RecipientState::delivered), 1U);
  ASSERT_EQ(relay.observer.ends.size(), 1U);
  EXPECT_EQ(relay.observer.ends[0].how, RecipientEnd::How::delivered);
}

}  // namespace
}  // namespace holdfast
