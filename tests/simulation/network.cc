#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "smtp/base/base_error.h"
#include "tests/fakes/scripted_stream.h"
#include "tests/simulation/world.h"

namespace holdfast::simulation {

class Line final : public Stream {
 public:
  Line(Network& network, std::unique_ptr<Stream> next, unsigned* open)
      : network_(network), next_(std::move(next)), open_(open) {
    network_.order_.push_back(this);
    place_ = std::prev(network_.order_.end());
    if (open_ != nullptr) {
      ++*open_;
      ++network_.open;
    }
  }
  ~Line() override {
    close();
    network_.order_.erase(place_);
  }
  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    return next_->read_some(buffer);
  }
  asio::awaitable<Result<void>> write(std::string_view data) override { return next_->write(data); }
  void set_deadline(SteadyTime at) override { next_->set_deadline(at); }
  void close() override {
    next_->close();
    if (open_ == nullptr) return;
    --*open_;
    --network_.open;
    open_ = nullptr;
  }
  Peer local() const override { return next_->local(); }
  Peer remote() const override { return next_->remote(); }

 private:
  Network& network_;
  std::unique_ptr<Stream> next_;
  unsigned* open_;
  std::list<Line*>::iterator place_;
};

std::unique_ptr<Stream> Network::attach(std::unique_ptr<Stream> stream, unsigned* counted) {
  return std::make_unique<Line>(*this, std::move(stream), counted);
}

void Network::cut_all() {
  up = false;
  for (Line* line : order_) line->close();
}

asio::awaitable<Result<std::unique_ptr<Stream>>> Network::connect(ConnectTarget target, Duration limit) {
  const Waiting waiting(stage_);
  const std::string ip = ip_text(target.ip);
  const auto host = mail.find(ip);
  const auto site = web.find(ip);
  const bool is_mail = host != mail.end();
  const bool is_web = site != web.end();
  if (!is_mail && !is_web) stage_.seen.fail("a connection to an address that is nobody's: " + ip);
  const bool lost = (is_mail && host->second->unreachable) ||
                    (is_web && site->second->fault == WebHost::Fault::unreachable);
  const Duration wait = lost ? limit : std::chrono::milliseconds(stage_.dice.between(1, 120));
  const bool waited = co_await sleep_for(stage_.clock, wait);
  if (!waited) co_return Error(BaseError::cancelled, "");
  if (lost) co_return Error(BaseError::timed_out, ip);
  const bool refused = !up || (is_mail && host->second->refuses) ||
                       (is_web && site->second->fault == WebHost::Fault::refuses) || (!is_mail && !is_web);
  stage_.trace.add("connect", ip + (refused ? " refused" : ""));
  if (refused) co_return Error(BaseError::unreachable, "nobody at " + ip);

  StreamPair pair = make_stream_pair(context_.get_executor(), stage_.clock);
  ++sessions;
  const auto ended = [this](std::exception_ptr exception) {
    --sessions;
    if (exception) std::rethrow_exception(exception);
  };
  std::unique_ptr<Stream> mine;
  if (is_mail) {
    auto session = std::make_shared<MailSession>(*host->second, stage_, std::move(pair.server));
    asio::co_spawn(context_, session->run(), [session, ended](std::exception_ptr e) { ended(e); });
    mine = attach(std::move(pair.client), &host->second->open);
    if (per_host_limit != 0 && host->second->open > per_host_limit)
      stage_.seen.fail("invariant 37: " + std::to_string(host->second->open) + " connections to " +
                       host->second->name);
    if (total_limit != 0 && open > total_limit)
      stage_.seen.fail("invariant 37: " + std::to_string(open) + " connections in all");
  } else {
    auto session = std::make_shared<WebSession>(*site->second, stage_, std::move(pair.server));
    asio::co_spawn(context_, session->run(), [session, ended](std::exception_ptr e) { ended(e); });
    mine = attach(std::move(pair.client), nullptr);
  }
  co_return mine;
}

}  // namespace holdfast::simulation
