#!/usr/bin/python3
"""Hours at half of the highest rate, among servers that fail: nothing lost, nothing twice, nothing that grows.

  tests/figures/soak.py [--minutes 120] [--rate N] [--csv FILE] [--build build/release]

First the highest rate is measured for 20 s (or --rate says it). Then mail comes at half of it: four fifths for healthy
servers, the rest for a server that says 4xx, one that says 5xx, one that hangs up anywhere, one that falls silent, one
whose TLS breaks, and for the domains of holdfast-world: STARTTLS stripped, wrong, expired and unknown certificates, an MX
outside its policy, a policy host that fails. Each ten seconds memory, descriptors, threads, the queue and the clients' p99
are written down. At the end the faults stop (what nobody can deliver expires, and one domain's mail is removed by the
operator), the queue must run empty, and every message that a client got its 250 for must have ended exactly once:
delivered to its server, returned by exactly one bounce, or removed. Memory must not grow faster than --slope allows, a line
fitted to all samples behind the first quarter; descriptors must be back to what they were. Exit code 1 when one of these
does not hold. Needs smtp_load and smtp_sink (build these targets).
"""
import argparse
import collections
import csv
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from fairness import Sink
from relay import Relay, add_options, free_port, wait_until
from soak_judge import BASE, SHORTEST_JUDGED, Accounts, judge, slope
from soak_peers import PEERS, Peers

SLICE = 10  # seconds between two samples
SHARE_OF_HEALTHY = 0.8
HEALTHY_CONNECTIONS = 20
MOST_FOR_A_PEER = 20  # messages a second; these servers are Python
FOR_A_DOMAIN_OF_THE_WORLD = 0.5
HEALTHY = "127.0.1.10"
WORLD = ("stripped.test", "wrongcert.test", "straymx.test", "expired.test", "untrusted.test", "fetchfail.test", "refusing.test",
         "busy.test")
REMOVED = "straymx.test"  # by the operator, at the end


class Load:
    """smtp_load for one kind of recipients."""

    def __init__(self, build, port, recipient, first, connections, destinations=1):
        self.words = [build / "tests/smtp_load", "--port", str(port), "--recipient", recipient, "--sender",
                      "soak@sender.test", "--connections", str(connections), "--destinations", str(destinations)]
        self.next, self.taken, self.failed, self.unheard = first, 0, 0, 0
        self.process = None

    def start(self, messages, seconds, rate=0.0):
        words = [*self.words, "--messages", str(messages), "--first-id", str(self.next), "--seconds", str(seconds),
                 "--per-connection", "100", "--rate", str(rate)]
        self.next += messages
        self.process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def end(self):
        result = json.loads(self.process.communicate()[0])
        self.taken += result["messages"]
        self.failed += result["failed"]
        return result


class SoakRelay(Relay):
    def __init__(self, build, folder, routes, world_config, settings):
        self.http = free_port()
        super().__init__(build, folder, routes, {**settings, "admin.http": f'"127.0.0.1:{self.http}"'})
        self.config.write_text(self.config.read_text() + world_config)

    def start(self, copy):
        self.log = pathlib.Path(copy.name)
        self.process = subprocess.Popen([self.binary, "serve", "-c", self.config], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.accounts = Accounts(self.process.stdout, copy)
        self.accounts.start()
        wait_until(self.listens, "the relay's readiness")

    def listens(self):
        if self.process.poll() is not None:
            raise SystemExit(f"holdfast does not start: see {self.log}")
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=5).status == 200
        except OSError:
            return False

    def queued(self):
        """Recipients by state."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=30).read().decode()
        return {state: int(float(value)) for state, value in
                re.findall(r'^holdfast_queue_messages\{state="(\w+)"\} (\S+)$', text, re.M)}

    def is_empty(self):
        return sum(self.queued().values()) == 0

    def descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def threads(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()))


def highest_rate(relay, load):
    """Messages a second from the first submission until the queue is empty again."""
    began = time.monotonic()
    load.start(10_000_000, 20)
    result = load.end()
    wait_until(relay.is_empty, "the end of the queue after the measurement", 300)
    totals = relay.accounts.totals
    wait_until(lambda: totals["accepted"] == totals["delivered"] >= load.taken, "the log of the measurement")
    # The clock ended this load: each connection may have left a message of which it did not hear.
    load.unheard = totals["accepted"] - load.taken
    if load.unheard > HEALTHY_CONNECTIONS:
        raise SystemExit(f"{load.taken} were acknowledged and {totals['accepted']} stand in the log")
    rate = result["messages"] / (time.monotonic() - began)
    print(f"highest rate: {result['per_second']:.0f} accepted, {rate:.0f} delivered a second", file=sys.stderr)
    return rate


def soak(options, relay, loads, rate, out):
    """The hours; samples."""
    writer = csv.writer(out)
    writer.writerow(["seconds", "accepted_per_second", "p99_ms", "rss_mib", "descriptors", "threads", "queued", "deferred"])
    samples, began = [], time.monotonic()
    for round in range(1, max(2, int(options.minutes * 60 / SLICE)) + 1):
        healthy = loads["healthy"]
        for kind, load in loads.items():
            share = rate * SHARE_OF_HEALTHY if kind == "healthy" else \
                min(MOST_FOR_A_PEER, rate * (1 - SHARE_OF_HEALTHY) / len(PEERS)) if kind in PEERS else FOR_A_DOMAIN_OF_THE_WORLD
            load.start(max(1, int(share * SLICE)), SLICE * 3, share)
        results = {kind: load.end() for kind, load in loads.items()}
        rest = began + round * SLICE - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        queued = relay.queued()
        samples.append((time.monotonic() - began, relay.memory_mib()[0], results["healthy"]["p99_ms"]))
        writer.writerow([f"{samples[-1][0]:.0f}", f"{sum(r['messages'] for r in results.values()) / SLICE:.0f}",
                         f"{results['healthy']['p99_ms']:.1f}", f"{samples[-1][1]:.1f}", relay.descriptors(), relay.threads(),
                         queued.get("queued", 0), queued.get("deferred", 0)])
        out.flush()
        if healthy.failed:
            print(f"{healthy.failed} messages were refused", file=sys.stderr)
    return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=float, help="messages a second; default: half of the highest")
    parser.add_argument("--slope", type=float, default=4, help="MiB an hour that memory may grow")
    parser.add_argument("--csv", type=pathlib.Path, default=pathlib.Path("soak.csv"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    build = options.build.resolve()
    peers = Peers(options.seed)
    peers.start()
    ports = peers.ours.recv()
    world = subprocess.Popen([build / "tests/holdfast-world", "--json", "--control"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    ready = json.loads(world.stdout.readline())
    threading.Thread(target=lambda: collections.deque(world.stdout, maxlen=0), daemon=True).start()
    sink = Sink(build, HEALTHY)
    expire = int(min(900, max(60, options.minutes * 60 / 6)))
    with tempfile.TemporaryDirectory() as name, open(options.csv, "w") as out, open(f"{options.csv}.log", "wb") as log:
        folder = pathlib.Path(name)
        routes = {"*.healthy.test": f"{HEALTHY}:{sink.port}", "sender.test": ports["bounces"]}
        routes |= {f"{kind}.soak.test": ports[kind] for kind in PEERS}
        world_config = ready["relay_config"]
        sections = dict(re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", world_config, re.M | re.S))
        settings = {"queue.min_free_space": '"0%"', "queue.history_size": '"64MiB"', "log.level": '"error"',
                    "delivery.retry": '["5s", "10s", "20s", "40s", "1m"]', "delivery.expire": f'"{expire}s"',
                    "delivery.delay_notice_after": '"0s"'}
        for section, keys in sections.items():
            settings |= {f"{section}.{key}": value for key, value in re.findall(r"^(\w+) = (.*)$", keys, re.M)}
        relay = SoakRelay(build, folder, routes, "", settings)
        text = relay.config.read_text()
        relay.config.write_text(re.sub(r'(recipients = \["badtls.*?tls = )"opportunistic"', r'\1"required"', text, flags=re.S))
        relay.start(log)
        kinds = {"healthy": "user@%d.healthy.test", **{kind: f"user@{kind}.soak.test" for kind in PEERS},
                 **{domain: f"info@{domain}" for domain in WORLD}}
        loads = {kind: Load(build, relay.port, recipient, BASE * number,
                            HEALTHY_CONNECTIONS if kind == "healthy" else 1,
                            20 if kind == "healthy" else 1)
                 for number, (kind, recipient) in enumerate(kinds.items())}
        try:
            rate = options.rate or highest_rate(relay, loads["healthy"]) / 2
            if options.rate:
                loads["healthy"].start(int(rate * 5), 60, rate)
                loads["healthy"].end()
                wait_until(relay.is_empty, "the first deliveries")
            time.sleep(15)  # connections that were kept for a next message end
            start, before = relay.descriptors(), relay.cpu_seconds()
            print(f"{options.minutes:g} minutes at {rate:.0f} a second; messages expire after {expire} s", file=sys.stderr)
            began = time.monotonic()
            samples = soak(options, relay, loads, rate, out)
            seconds = time.monotonic() - began
            cpu = relay.cpu_seconds() - before

            peers.healthy.set()
            removed = set()
            while rows := relay.ask("queue", "list", "--domain", REMOVED):
                removed |= {row["msg"] for row in rows}
                subprocess.run([relay.binary, "queue", "remove", "--domain", REMOVED, "--yes", "-c", relay.config],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.5)
            print("the faults have stopped; the queue runs empty", file=sys.stderr)
            wait_until(relay.is_empty, "an empty queue", expire + 400)
            deadline = time.monotonic() + 60
            while relay.descriptors() > start and time.monotonic() < deadline:
                time.sleep(1)
            time.sleep(2)  # the log is read to its end
            peers.ours.send("stop")
            copies = peers.ours.recv()
            sink.process.terminate()
            counted = sink.end()
            behind = samples[len(samples) // 4:]
            memory = 3600 * slope([(t, rss) for t, rss, _ in behind])
            wrong = judge(relay, loads, counted, copies, removed, start, memory, options, seconds)
            total = sum(load.taken for load in loads.values())
            p99 = sorted(p for _, _, p in samples)
            print("| hours | rate | messages | returned | removed | RSS at the end | growth | descriptors | p99, median and worst |\n"
                  "|---|---|---|---|---|---|---|---|---|\n"
                  f"| {seconds / 3600:.2f} | {rate:.0f}/s | {total} | {len(copies['bounces'])} | {len(removed)} | "
                  f"{samples[-1][1]:.0f} MiB | {memory:+.1f} MiB/h{'' if seconds >= SHORTEST_JUDGED else ' (too short to judge)'} | "
                  f"{start} → {relay.descriptors()} | {p99[len(p99) // 2]:.0f} ms, {p99[-1]:.0f} ms |")
            print(f"{1e6 * cpu / total:.0f} µs of CPU for a message, faults and all", file=sys.stderr)
            for text in wrong:
                print(f"BROKEN: {text}", file=sys.stderr)
            code = relay.stop()
            if code:
                wrong.append("stop")
                print(f"BROKEN: the relay ended with {code}", file=sys.stderr)
            return 1 if wrong else 0
        finally:
            if relay.process.poll() is None:
                relay.kill()
            for process in (world, sink.process):
                if process.poll() is None:
                    process.terminate()
            peers.terminate()


if __name__ == "__main__":
    sys.exit(main())
