// A DKIM signature: hashing what passes by, and signing the header.
#include <benchmark/benchmark.h>

#include <unistd.h>

#include "queue/dkim_signer.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {
namespace {

void sign(benchmark::State& state, DkimAlgorithm algorithm) {
  const TemporaryDirectory directory;
  const auto saved = DkimKey::generate(algorithm)->save(dkim_key_path(directory.path(), "a.example", "s"));
  DkimSettings settings;
  settings.selector = "s";
  settings.key_dir = directory.path().string();
  const std::string header =
      "From: Alice <alice@a.example>\r\nTo: bob@b.example\r\nSubject: what it is about\r\n"
      "Date: Sat, 21 Nov 2026 22:01:30 +0000\r\nMessage-ID: <1@a.example>\r\n";
  const auto fields = parse_header(header);
  std::string body;
  while (body.size() < static_cast<std::size_t>(state.range(0))) body += std::string(72, 'x') + "\r\n";
  DkimSigner signer;
  const WallTime now = make_system_clock()->wall();
  for (auto _ : state) {
    auto signing = signer.begin(settings, "a.example", now);
    if (!saved || !signing || !*signing) {
      state.SkipWithError("no key");
      break;
    }
    (*signing)->body(body);
    benchmark::DoNotOptimize((*signing)->finish(*fields));
  }
}
BENCHMARK_CAPTURE(sign, ed25519, DkimAlgorithm::ed25519_sha256)->Arg(2048)->Arg(1 << 20);
BENCHMARK_CAPTURE(sign, rsa2048, DkimAlgorithm::rsa_sha256)->Arg(2048)->Arg(1 << 20);

}  // namespace
}  // namespace holdfast
