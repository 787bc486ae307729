// tests/smtp/client/scripted_talk.h — a client session with a peer whose replies are fixed.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/client/client_session.h"
#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"

namespace holdfast::scripted {

using Lines = std::vector<std::string>;

inline const Lines kPlain = {"220 mx.example ESMTP", "250 mx.example"};
inline const Lines kPipelining = {"220 mx.example ESMTP",
                                  "250-mx.example\r\n250-PIPELINING\r\n250 SIZE 1000000"};
inline const Lines kChunking = {"220 mx.example ESMTP", "250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING"};

inline OutgoingMessage message_to(std::vector<std::string> recipients) {
  OutgoingMessage message;
  message.reverse_path = *Mailbox::parse("from@a.example");
  for (const auto& recipient : recipients) {
    OutgoingRecipient to;
    to.address = *Mailbox::parse(recipient);
    message.recipients.push_back(std::move(to));
  }
  return message;
}

// A session with a scripted peer. The script has one entry per reply (or flight of replies).
struct Talk {
  explicit Talk(Lines replies, StreamFault fault = {})
      : server(std::move(replies), fault),
        session(server.stream(), clock, "relay.example", ClientTimeouts()) {}
  Talk(Lines opening, Lines replies, StreamFault fault = {})
      : Talk(joined(std::move(opening), replies), fault) {}

  static Lines joined(Lines a, const Lines& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  Result<Reply> open() { return run(session.open()); }
  TransactionResult send(OutgoingMessage message, std::string content = "Subject: x\r\n\r\nhello\r\n") {
    StringBody body(std::move(content));
    return run(session.send(std::move(message), body));
  }
  TransactionResult send_after_open(OutgoingMessage message,
                                    std::string content = "Subject: x\r\n\r\nhello\r\n") {
    EXPECT_TRUE(open());
    return send(std::move(message), std::move(content));
  }
  // What was written behind EHLO.
  std::string said() const {
    const auto& all = server.written();
    const auto end = all.find("\r\n");
    return end == all.npos ? "" : all.substr(end + 2);
  }

  FakeClock clock;
  ScriptedStream server;
  ClientSession session;
};

inline std::vector<int> codes(const TransactionResult& result) {
  std::vector<int> all;
  for (const auto& recipient : result.recipients) all.push_back(recipient.reply.code);
  return all;
}

inline std::vector<Stage> stages(const TransactionResult& result) {
  std::vector<Stage> all;
  for (const auto& recipient : result.recipients) all.push_back(recipient.stage);
  return all;
}

}  // namespace holdfast::scripted
