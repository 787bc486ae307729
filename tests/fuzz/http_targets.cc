// sts/http_exchange: whatever a policy host or a report target answers, whole or in pieces.
#include "smtp/base/utf8.h"
#include "sts/http_exchange.h"
#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"
#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {
namespace {

constexpr std::size_t kMaxBody = 1000;

struct Answer {
  bool good = false;
  std::string error;
  HttpResponse response;
};

template <class Exchange>
Answer ask(Exchange exchange, const Chunks& chunks) {
  std::vector<std::string> octets;
  for (const auto chunk : chunks)
    if (!chunk.empty()) octets.emplace_back(chunk);
  auto script = ScriptedStream::raw(std::move(octets));
  const auto stream = script.stream();
  HttpRequest request;
  request.url = *HttpsUrl::parse("https://mta-sts.one.example/.well-known/mta-sts.txt");
  const auto response = run(exchange(*stream, std::move(request), kMaxBody));
  Answer answer;
  if (!response) {
    answer.error = response.error().text();
    require(!answer.error.empty(), "an error says what happened");
    return answer;
  }
  answer.good = true;
  answer.response = *response;
  require(response->body.size() <= kMaxBody, "a body keeps its limit");
  require(response->status >= 200 && response->status <= 999, "the final response counts");
  return answer;
}

template <class Exchange>
void same_for_every_split(Exchange exchange, std::string_view input) {
  std::optional<Answer> first;
  for (const Chunks& chunks : splits_of(input)) {
    const Answer answer = ask(exchange, chunks);
    if (!first) first = answer;
    // nghttp2 counts a header block's CONTINUATION frames once for each read that ends within one, and gives
    // up at eight.
    if (answer.error.find("CONTINUATION") != std::string::npos) continue;
    if (first->good != answer.good)
      throw Broken("a response is whole or not, however it comes: " + first->error + answer.error +
                   (first->good ? " (in pieces)" : " (at once)"));
    require(first->response.status == answer.response.status &&
                first->response.body == answer.response.body &&
                first->response.media_type == answer.response.media_type,
            "a response is the same however it comes");
  }
}

}  // namespace

void fuzz_http1(std::string_view input) { same_for_every_split(http1_exchange, input.substr(0, 4096)); }
void fuzz_http2(std::string_view input) { same_for_every_split(http2_exchange, input.substr(0, 4096)); }

}  // namespace holdfast::fuzz
