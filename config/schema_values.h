// config/schema_values.h — what may stand in the texts and lists of the configuration. For schema_*.cc.
//
// check_…: what is wrong with a text, or "". read_…: the same, and the value. Each message says what to
// write.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"

namespace holdfast {

std::string check_hostname(const std::string& text);
std::string check_domain(const std::string& text);
std::string check_address(const std::string& text);
std::string check_sender(const std::string& text);
std::string check_route_recipient(const std::string& text);
std::string check_server(const std::string& text);
std::string check_user_name(const std::string& text);
std::string check_hash(const std::string& text);
std::string check_ip(const std::string& text);
std::string check_selector(const std::string& text);
std::string check_mechanism(const std::string& text);
std::string check_tls_version(const std::string& text);
std::string check_cipher(const std::string& text);

std::string read_network(const std::string& text, Network& out);
std::string print_network(const Network& network);
std::string read_time(const std::string& text, Millis& out);
std::string read_bind(const std::string& text, HostPort& out);
std::string print_host_port(const HostPort& value);
std::string read_http(const std::string& text, std::optional<HostPort>& out);
std::string print_http(const std::optional<HostPort>& value);
std::string read_next_hop(const std::string& text, NextHop& out);
std::string print_next_hop(const NextHop& hop);
std::string read_relaxation(const std::string& text, Relaxation& out);
std::string print_relaxation(Relaxation value);

}  // namespace holdfast
