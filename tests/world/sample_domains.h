// tests/world/sample_domains.h — one domain of each kind, for holdfast-world, the quickstart and for play.
#pragma once

#include <string>
#include <vector>

#include "tests/world/world.h"

namespace holdfast::world {

struct SampleDomain {
  std::string name;
  std::string policy;  // "none published", "testing", "enforce"
  std::string about;   // what is special about it
  bool delivered;      // whether mail is to arrive there
  bool in_tour;        // shown by the quickstart
};

// Builds them into `world` and tells what they are.
std::vector<SampleDomain> add_sample_domains(World& world);

}  // namespace holdfast::world
