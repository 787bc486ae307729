// tests/simulation/submitter.h — clients that submit, well or badly.
#pragma once

#include "tests/simulation/life.h"

namespace holdfast::simulation {

// A letter by chance: who, to whom, how, and what goes wrong.
Letter draw_letter(World& world, int number);
// The same once more, by a client that never got an answer; told apart by its recipients' numbers.
Letter repeated(const Letter& letter, int number);

// Submits letter `number` of world.seen.letters over `stream` and writes the outcome there. `stream` null:
// the relay is not there.
asio::awaitable<void> submit(World& world, int number, std::unique_ptr<Stream> stream);

}  // namespace holdfast::simulation
