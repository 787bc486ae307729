// holdfast-world — the test world as a program: a small internet on loopback to play with.
//
// Prints its addresses and a configuration for a relay in it, then each message that arrives, and runs until
// SIGTERM or SIGINT; with --control also until its standard input ends.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string_view>

#include "tests/world/sample_domains.h"

namespace holdfast::world {
namespace {

namespace json = boost::json;

constexpr const char* kUsage =
    "usage: holdfast-world [--json] [--control] [--mailbox DIR]\n"
    "  --json         addresses and arrivals as JSON lines\n"
    "  --control      end when standard input ends\n"
    "  --mailbox DIR  write every message that arrives to DIR/NUMBER.eml\n";

struct Arguments {
  bool json = false, control = false;
  std::filesystem::path mailbox;
};

std::string relay_config(World& world) {
  return "[trust]\nca_file = \"" + world.ca_file().string() + "\"\n\n[dns]\nservers = [\"" +
         world.dns().endpoint().text() + "\"]\n\n[egress]\nallow = [\"127.0.0.0/8\"]\n\n[delivery]\nport = " +
         std::to_string(world.mx_port()) + "\n\n[sts]\nhttps_port = " + std::to_string(world.https_port()) +
         "\n";
}

void print_addresses(World& world, const std::vector<SampleDomain>& domains, bool as_json) {
  if (as_json) {
    json::array list;
    for (const auto& domain : domains) {
      list.push_back({{"name", domain.name},
                      {"policy", domain.policy},
                      {"about", domain.about},
                      {"delivered", domain.delivered},
                      {"tour", domain.in_tour}});
    }
    const json::value line = {{"schema", 1},
                              {"event", "ready"},
                              {"dns", world.dns().endpoint().text()},
                              {"https", world.https().endpoint().text()},
                              {"mx_port", world.mx_port()},
                              {"ca_file", world.ca_file().string()},
                              {"relay_config", relay_config(world)},
                              {"domains", std::move(list)}};
    std::cout << json::serialize(line) << std::endl;
    return;
  }
  std::cout << "DNS           " << world.dns().endpoint().text() << " (UDP and TCP)\n"
            << "policy hosts  " << world.https().endpoint().text() << " (HTTPS, by SNI)\n"
            << "MX port       " << world.mx_port() << " (each host on an address of its own)\n"
            << "root          " << world.ca_file().string() << "\n\n";
  for (const auto& domain : domains) {
    std::printf("%-16s %-15s %-52s %s\n", domain.name.c_str(), domain.policy.c_str(), domain.about.c_str(),
                domain.delivered ? "delivers" : "does not deliver");
  }
  std::fflush(stdout);
  std::cout << "\nA relay in this world needs, in its configuration:\n\n" << relay_config(world) << std::endl;
}

void print_arrival(const Mail& mail, bool as_json) {
  json::array to;
  for (const auto& recipient : mail.recipients) to.push_back(json::value(recipient.address));
  const std::string version = mail.tls.on ? mail.tls.version : "";
  if (as_json) {
    const json::value line = {{"schema", 1},         {"event", "mail"},
                              {"mx", mail.mx},       {"from", mail.reverse_path},
                              {"to", std::move(to)}, {"size", mail.content.size()},
                              {"tls", version},      {"cipher", mail.tls.cipher}};
    std::cout << json::serialize(line) << std::endl;
  } else {
    std::cout << "arrived at " << mail.mx << " for " << json::serialize(to) << ", " << mail.content.size()
              << " bytes, " << (mail.tls.on ? version + " " + mail.tls.cipher : "in clear text") << std::endl;
  }
}

void run(const Arguments& arguments) {
  // Before any thread is started, so that all of them leave these signals to the descriptor.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  const Fd signals(::signalfd(-1, &ends, SFD_CLOEXEC));

  World world;
  const auto domains = add_sample_domains(world);
  print_addresses(world, domains, arguments.json);
  int number = 0;
  world.journal().on_mail([&](const Mail& mail) {
    ++number;
    if (!arguments.mailbox.empty()) {
      std::ofstream(arguments.mailbox / (std::to_string(number) + ".eml"), std::ios::binary) << mail.content;
    }
    print_arrival(mail, arguments.json);
  });

  for (;;) {
    pollfd fds[2] = {{signals.get(), POLLIN, 0}, {arguments.control ? 0 : -1, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0) return;
    char ignored[4096];
    if (fds[1].revents != 0 && ::read(0, ignored, sizeof ignored) <= 0) return;
  }
}

}  // namespace
}  // namespace holdfast::world

int main(int argc, char** argv) {
  holdfast::world::Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json") {
      arguments.json = true;
    } else if (argument == "--control") {
      arguments.control = true;
    } else if (argument == "--mailbox" && i + 1 < argc) {
      arguments.mailbox = argv[++i];
      std::filesystem::create_directories(arguments.mailbox);
    } else {
      std::fputs(holdfast::world::kUsage, argument == "--help" ? stdout : stderr);
      return argument == "--help" ? 0 : 64;
    }
  }
  try {
    holdfast::world::run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "holdfast-world: %s\n", error.what());
    return 1;
  }
}
