// Parsers and checks that every command, reply and octet of a message passes through.
#include <benchmark/benchmark.h>

#include "queue/checksum.h"
#include "queue/header_section.h"
#include "smtp/base/utf8.h"
#include "smtp/wire/command.h"
#include "smtp/wire/content_check.h"
#include "smtp/wire/data_decoder.h"
#include "smtp/wire/dot_stuffer.h"
#include "smtp/wire/line_buffer.h"
#include "smtp/wire/reply.h"

namespace holdfast {
namespace {

std::string text_of(std::int64_t octets) {
  const std::string line = std::string(72, 'x') + "\r\n";
  std::string text;
  while (text.size() + line.size() <= static_cast<std::size_t>(octets)) text += line;
  return text;
}

void count_octets(benchmark::State& state, std::size_t octets) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(octets));
}

void parse_mail_command(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_command("MAIL FROM:<sender@mail.example.com> SIZE=2340 BODY=8BITMIME"));
  }
}
BENCHMARK(parse_mail_command);

void parse_rcpt_command(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(parse_command("RCPT TO:<first.last@mail.example.com>"));
}
BENCHMARK(parse_rcpt_command);

void parse_ehlo_reply(benchmark::State& state) {
  for (auto _ : state) {
    ReplyParser parser;
    for (const char* line :
         {"250-mx.example", "250-PIPELINING", "250-SIZE 26214400", "250-STARTTLS", "250 CHUNKING"})
      benchmark::DoNotOptimize(parser.feed(line));
  }
}
BENCHMARK(parse_ehlo_reply);

void read_lines(benchmark::State& state) {
  const std::string flight =
      "MAIL FROM:<sender@mail.example.com>\r\nRCPT TO:<first.last@mail.example.com>\r\nDATA\r\n";
  LineBuffer lines(512);
  for (auto _ : state) {
    lines.append(flight);
    while (true) {
      auto line = lines.next();
      if (!line || !*line) break;
      benchmark::DoNotOptimize(**line);
    }
  }
  count_octets(state, flight.size());
}
BENCHMARK(read_lines);

void parse_header_section(benchmark::State& state) {
  const std::string header =
      "Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example with ESMTPS;\r\n"
      "\tSat, 21 Nov 2026 22:01:31 +0000\r\nFrom: Alice <alice@a.example>\r\nTo: bob@b.example\r\n"
      "Subject: what it is about\r\nDate: Sat, 21 Nov 2026 22:01:30 +0000\r\nMessage-ID: <1@a.example>\r\n";
  for (auto _ : state) benchmark::DoNotOptimize(parse_header(header));
  count_octets(state, header.size());
}
BENCHMARK(parse_header_section);

void check_content(benchmark::State& state) {
  const std::string text = text_of(state.range(0));
  for (auto _ : state) {
    ContentCheck check;
    check.feed(text);
    benchmark::DoNotOptimize(check.violation());
  }
  count_octets(state, text.size());
}
BENCHMARK(check_content)->Arg(2048)->Arg(65536);

void look_for_eight_bits(benchmark::State& state) {
  const std::string text = text_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(is_ascii(text));
  count_octets(state, text.size());
}
BENCHMARK(look_for_eight_bits)->Arg(2048)->Arg(65536);

void sum_body(benchmark::State& state) {
  const std::string text = text_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(checksum(text));
  count_octets(state, text.size());
}
BENCHMARK(sum_body)->Arg(2048)->Arg(65536);

void decode_data(benchmark::State& state) {
  const std::string text = text_of(state.range(0)) + ".\r\n";
  std::string out;
  for (auto _ : state) {
    DataDecoder decoder;
    out.clear();
    benchmark::DoNotOptimize(decoder.decode(text, out));
  }
  count_octets(state, text.size());
}
BENCHMARK(decode_data)->Arg(2048)->Arg(65536);

void stuff_dots(benchmark::State& state) {
  const std::string text = text_of(state.range(0));
  std::string out;
  for (auto _ : state) {
    DotStuffer stuffer;
    out.clear();
    benchmark::DoNotOptimize(stuffer.stuff(text, out));
  }
  count_octets(state, text.size());
}
BENCHMARK(stuff_dots)->Arg(2048)->Arg(65536);

}  // namespace
}  // namespace holdfast
