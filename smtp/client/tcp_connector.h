// smtp/client/tcp_connector.h — the Connector over real sockets.
#pragma once

#include <functional>

#include "config/settings.h"
#include "smtp/client/connector.h"

namespace holdfast {

// Whether an address that the network named may be connected to (invariant 38).
bool may_reach(const IpBytes& ip, const std::vector<Network>& allow);

// Thread-safe: each connect() runs on the executor of its caller, where its stream then lives.
class TcpConnector final : public Connector {
 public:
  // `settings` yields the snapshot in force, for `egress.allow`; called once per connect(), on any thread.
  // `clock` outlives the connector and its streams.
  TcpConnector(Clock& clock, std::function<SettingsPtr()> settings)
      : clock_(clock), settings_(std::move(settings)) {}

  asio::awaitable<Result<std::unique_ptr<Stream>>> connect(ConnectTarget target, Duration limit) override;

 private:
  Clock& clock_;
  std::function<SettingsPtr()> settings_;
};

}  // namespace holdfast
