// What leaves as content: invariant 27, over every short body, and over every way to cut it into chunks.
#include <gtest/gtest.h>

#include "smtp/client/client_session.h"
#include "smtp/wire/wire_error.h"
#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"

namespace holdfast {
namespace {

class ChunkedBody final : public BodySource {
 public:
  ChunkedBody(std::string text, std::size_t first) : text_(std::move(text)), first_(first) {}
  asio::awaitable<Result<std::string_view>> next() override {
    std::string_view rest = std::string_view(text_).substr(given_);
    if (given_ < first_) rest = rest.substr(0, first_ - given_);
    given_ += rest.size();
    co_return rest;
  }

 private:
  std::string text_;
  std::size_t first_, given_ = 0;
};

OutgoingMessage message(std::string prefix = {}) {
  OutgoingMessage made;
  made.reverse_path = *Mailbox::parse("from@a.example");
  OutgoingRecipient to;
  to.address = *Mailbox::parse("to@b.example");
  made.recipients.push_back(to);
  made.prefix = std::move(prefix);
  return made;
}

struct Sent {
  TransactionResult result;
  std::string content;  // as written behind DATA or RCPT
};

Sent send(const std::string& body, bool chunking, std::size_t first_chunk, std::string prefix = {}) {
  std::vector<std::string> replies = {"220 mx", chunking ? "250-mx\r\n250 CHUNKING" : "250 mx", "250 ok",
                                      "250 ok"};
  if (!chunking) replies.push_back("354 go");
  replies.push_back("250 queued");
  ScriptedStream server(replies);
  FakeClock clock;
  ClientSession session(server.stream(), clock, "relay.example", ClientTimeouts());
  EXPECT_TRUE(run(session.open()));
  ChunkedBody source(body, first_chunk);
  Sent sent;
  sent.result = run(session.send(message(std::move(prefix)), source));
  const std::string before = chunking ? "RCPT TO:<to@b.example>\r\n" : "DATA\r\n";
  const auto start = server.written().find(before);
  if (start != std::string::npos) sent.content = server.written().substr(start + before.size());
  return sent;
}

bool is_clean(const std::string& body) {
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\0') return false;
    if (body[i] == '\r' && (i + 1 == body.size() || body[i + 1] != '\n')) return false;
    if (body[i] == '\n' && (i == 0 || body[i - 1] != '\r')) return false;
  }
  return true;
}

// What a receiver takes out of the DATA stream, by the letter of RFC 5321 section 4.5.2.
std::string unstuffed(std::string_view wire) {
  std::string body;
  while (true) {
    const auto end = wire.find("\r\n");
    EXPECT_NE(end, wire.npos) << "no end of content";
    if (end == wire.npos) return body;
    std::string_view line = wire.substr(0, end);
    wire.remove_prefix(end + 2);
    if (line == ".") {
      EXPECT_EQ(wire, "") << "the end came early";
      return body;
    }
    if (line.starts_with(".")) line.remove_prefix(1);
    body += std::string(line) + "\r\n";
  }
}

std::size_t count(std::string_view text, std::string_view of) {
  std::size_t found = 0;
  for (auto at = text.find(of); at != text.npos; at = text.find(of, at + 1)) ++found;
  return found;
}

template <class Visit>
void every_body(std::size_t longest, Visit visit) {
  constexpr char kAlphabet[] = {'\r', '\n', '.', '\0', 'a'};
  std::string body;
  const auto extend = [&](auto& self) -> void {
    visit(body);
    if (body.size() == longest) return;
    for (const char c : kAlphabet) {
      body += c;
      self(self);
      body.pop_back();
    }
  };
  extend(extend);
}

TEST(Content, OfEveryShortBodyEndsOnceAndAtItsEndByData) {
  every_body(6, [](const std::string& body) {
    const auto sent = send(body, false, body.size() / 2);
    if (is_clean(body)) {
      ASSERT_FALSE(sent.result.broken) << testing::PrintToString(body);
      const std::string whole = "\r\n" + sent.content;  // DATA's own CRLF counts for the end, section 4.1.1.4
      ASSERT_EQ(count(whole, "\r\n.\r\n"), 1u) << testing::PrintToString(body);
      ASSERT_TRUE(whole.ends_with("\r\n.\r\n"));
      ASSERT_EQ(unstuffed(sent.content), body.empty() || body.ends_with("\n") ? body : body + "\r\n");
    } else {
      ASSERT_TRUE(sent.result.broken) << testing::PrintToString(body);
      ASSERT_FALSE(sent.result.in_doubt);
      ASSERT_EQ(sent.result.recipients[0].reply.code, 0);
      // Nothing that any reader of line ends could take for the end.
      for (const char* end : {"\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r.\n"}) {
        ASSERT_EQ(count("\r\n" + sent.content, end), 0u) << testing::PrintToString(body);
      }
    }
  });
}

TEST(Content, OfEveryShortBodyIsWholeOrAbsentByBdat) {
  every_body(6, [](const std::string& body) {
    const auto sent = send(body, true, body.size() / 2);
    if (is_clean(body)) {
      ASSERT_FALSE(sent.result.broken) << testing::PrintToString(body);
      const std::string expected = body.empty() || body.ends_with("\n") ? body : body + "\r\n";
      ASSERT_EQ(sent.content, "BDAT " + std::to_string(expected.size()) + " LAST\r\n" + expected);
    } else {
      ASSERT_TRUE(sent.result.broken) << testing::PrintToString(body);
      ASSERT_EQ(sent.content, "") << "not one octet of it";
    }
  });
}

TEST(Content, DoesNotDependOnItsChunks) {
  const std::string body = ".\r\n..\r\na.b\r\n\r\n.";
  const auto whole = send(body, false, 0).content;
  for (std::size_t first = 1; first < body.size(); ++first)
    EXPECT_EQ(send(body, false, first).content, whole);
}

TEST(Content, PutsThePrefixBeforeTheBody) {
  const std::string prefix = "Received: x\r\n", body = ".dot\r\n";
  EXPECT_EQ(send(body, false, 0, prefix).content, "Received: x\r\n..dot\r\n.\r\n");
  EXPECT_EQ(send(body, true, 0, prefix).content, "BDAT 19 LAST\r\nReceived: x\r\n.dot\r\n");
}

TEST(Content, RefusesABadPrefixBeforeASingleOctet) {
  const auto sent = send("x\r\n", false, 0, "X: a\nb\r\n");
  EXPECT_TRUE(sent.result.broken->is(WireError::bare_lf));
  EXPECT_EQ(sent.content, "");
}

std::string lines(std::size_t octets) {
  std::string text;
  while (text.size() < octets) text += "a line of text that is long enough to matter\r\n";
  return text;
}

// What the peer takes out of BDAT commands, RFC 3030.
std::string joined_chunks(std::string_view wire, std::size_t& chunks) {
  std::string body;
  chunks = 0;
  for (bool last = false; !last; ++chunks) {
    const auto end = wire.find("\r\n");
    const std::string command(wire.substr(0, end));
    EXPECT_TRUE(command.starts_with("BDAT ")) << command;
    if (!command.starts_with("BDAT ")) return body;
    last = command.ends_with(" LAST");
    const auto size = std::stoul(command.substr(5));
    body += wire.substr(end + 2, size);
    wire.remove_prefix(end + 2 + size);
  }
  EXPECT_EQ(wire, "");
  return body;
}

struct Large {
  explicit Large(std::vector<std::string> chunk_replies, bool pipelining) {
    std::vector<std::string> replies = {
        "220 mx", pipelining ? "250-mx\r\n250-PIPELINING\r\n250 CHUNKING" : "250-mx\r\n250 CHUNKING",
        "250 ok", "250 ok"};
    replies.insert(replies.end(), chunk_replies.begin(), chunk_replies.end());
    server.emplace(replies);
    session.emplace(server->stream(), clock, "relay.example", ClientTimeouts());
    EXPECT_TRUE(run(session->open()));
    result = run(session->send(message(), *std::make_unique<ManyChunks>()));
  }
  // 1 MB in parts of 20.
  struct ManyChunks final : BodySource {
    asio::awaitable<Result<std::string_view>> next() override {
      if (left == 0) co_return std::string_view();
      --left;
      co_return std::string_view(part);
    }
    std::string part = lines(20'000);
    int left = 50;
  };
  FakeClock clock;
  std::optional<ScriptedStream> server;
  std::optional<ClientSession> session;
  TransactionResult result;
};

TEST(Content, GoesInChunksWhenItIsLarge) {
  for (const bool pipelining : {false, true}) {
    Large large({"250 ok", "250 ok", "250 ok", "250 queued"}, pipelining);
    ASSERT_FALSE(large.result.broken) << large.result.broken->text();
    EXPECT_EQ(large.result.recipients[0].reply.text[0], "queued");
    const auto& said = large.server->written();
    std::size_t chunks = 0;
    std::string expected;
    for (int i = 0; i < 50; ++i) expected += lines(20'000);
    EXPECT_EQ(joined_chunks(std::string_view(said).substr(said.find("BDAT")), chunks), expected);
    EXPECT_EQ(chunks, 4u);
  }
}

TEST(Content, TakesTheRepliesToTwoChunksThatComeTogether) {
  Large large({"250 ok\r\n250 ok", "250 ok", "250 queued"}, true);
  ASSERT_FALSE(large.result.broken) << large.result.broken->text();
  EXPECT_EQ(large.result.recipients[0].reply.text[0], "queued");
  Large refused({"250 ok\r\n452 4.3.1 full"}, true);
  EXPECT_FALSE(refused.result.broken) << refused.result.broken->text();
  EXPECT_EQ(refused.result.recipients[0].reply.code, 452);
  EXPECT_EQ(refused.server->written().find("LAST"), std::string::npos);
}

TEST(Content, TakesNoReplyThatComesBeforeItsChunk) {
  Large large({"250 ok\r\n250 ok\r\n250 ok", "250 ok", "250 queued"}, true);
  ASSERT_TRUE(large.result.broken);
  EXPECT_NE(large.result.broken->text().find("out of turn"), std::string::npos)
      << large.result.broken->text();
  EXPECT_EQ(large.server->written().find("LAST"), std::string::npos);
}

TEST(Content, StopsAtARefusedChunkAndNeverSaysLast) {
  for (const bool pipelining : {false, true}) {
    for (std::size_t refused = 0; refused < 3; ++refused) {
      std::vector<std::string> replies(refused, "250 ok");
      replies.push_back("452 4.3.1 full");
      if (pipelining && refused < 2) replies.push_back("503 sequence");
      Large large(replies, pipelining);
      EXPECT_FALSE(large.result.broken) << large.result.broken->text();
      EXPECT_EQ(large.result.recipients[0].reply.code, 452);
      EXPECT_EQ(large.result.recipients[0].stage, Stage::body);
      EXPECT_EQ(large.server->written().find("LAST"), std::string::npos);
      EXPECT_TRUE(large.session->usable());
      EXPECT_EQ(large.server->unread(), 0u);
    }
  }
}

TEST(Content, IsInDoubtOnlyOnceItsLastChunkIsUnderWay) {
  for (const bool pipelining : {false, true}) {
    for (std::size_t answered = 0; answered <= 3; ++answered) {
      Large large(std::vector<std::string>(answered, "250 ok"), pipelining);
      ASSERT_TRUE(large.result.broken);
      EXPECT_EQ(large.result.in_doubt, answered == 3);
      EXPECT_EQ(large.server->written().find("LAST") != std::string::npos, answered == 3);
    }
  }
}

}  // namespace
}  // namespace holdfast
