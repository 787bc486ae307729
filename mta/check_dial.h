// mta/check_dial.h — the connections of a dry run: every address of every usable MX of a hop at once, each up
// to the EHLO after TLS. For check_domain alone.
#pragma once

#include <memory>
#include <vector>

#include "mta/check_domain.h"

namespace holdfast {

// Shared with the parallel connections, so that nothing dangles however they end.
struct Dial {
  Connector& connector;
  Clock& clock;
  SettingsPtr settings;
  std::shared_ptr<const TlsClientContexts> contexts;
  std::shared_ptr<const RouteSettings> route;
  Hop hop;
  std::vector<CheckedMx> mx;
};

// Fills in what each connection met, in `mx`.
asio::awaitable<void> dial_all(std::shared_ptr<Dial> dial);

}  // namespace holdfast
