// tests/fakes/scripted_stream.h — streams without a network.
//
// ScriptedStream: a peer whose side of the conversation is fixed. Each entry of the script is what one read
// gives (CRLF is added to an entry that does not end in one); when it is used up the peer closes. A fault can
// be set at any step, a step being one read or one write, counted from 0, so a test can repeat a conversation
// with a failure at each.
//
// make_stream_pair: two connected streams in memory, for tests that play both sides.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "smtp/base/stream.h"

namespace holdfast {

struct StreamFault {
  enum class Kind {
    none,
    cut,      // the peer closes: reads end, writes break
    reset,    // the connection breaks
    timeout,  // the deadline passes
  } kind = Kind::none;
  std::size_t step = 0;
};

class ScriptedStream {
 public:
  explicit ScriptedStream(std::vector<std::string> replies, StreamFault fault = {});
  // Entries are taken as they are, without an added CRLF.
  static ScriptedStream raw(std::vector<std::string> octets, StreamFault fault = {});

  // The stream for the code under test, which may outlive this object.
  std::unique_ptr<Stream> stream();

  const std::string& written() const;
  std::vector<std::string> written_lines() const;  // CRLF removed
  std::size_t steps() const;                       // reads and writes so far
  std::size_t unread() const;                      // entries of the script that were not read
  bool closed() const;                             // close() was called, or the stream destroyed
  // How often set_deadline() was called.
  std::size_t deadlines() const;
  void set_peers(Peer local, Peer remote);

  struct Script;

 private:
  ScriptedStream() = default;
  std::shared_ptr<Script> script_;
};

struct StreamPair {
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};

// Both on `executor`; deadlines by `clock`; each direction buffers `capacity` octets, then writers wait.
StreamPair make_stream_pair(Executor executor, Clock& clock, std::size_t capacity = 64 * 1024);

}  // namespace holdfast
