#!/usr/bin/python3
"""Does a long queue for a dead destination slow down mail for others?

  tests/figures/fairness.py [--backlog 50000] [--fresh 1000] [--rounds 21] [--build build/release]

Two relays: one with an empty queue, one with a backlog for a black hole, once a server that accepts TCP and never
speaks, once one that lets SYN go unanswered (its queue of connections is full). In turn, the other one stopped
meanwhile, each is given fresh messages for a healthy server; measured from the first submission to the last arrival.
Target: at least 90 % of the throughput of the empty one, as the median over pairs of neighbouring rounds. Needs smtp_load and smtp_sink (build these targets).
"""
import argparse
import json
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from relay import Relay, add_options


def submit(build, relay, number, recipient, connections=10):
    command = [build / "tests/smtp_load", "--port", str(relay.port), "--messages", str(number), "--connections", str(connections),
               "--per-connection", "1000", "--size", "2048", "--recipient", recipient, "--seconds", "3000"]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


# Addresses of their own, as in life: connections are limited by host.
HEALTHY, HOLE = "127.0.0.2", "127.0.0.3"


class Sink:
    def __init__(self, build, address, port=0, expect=0, *more):
        self.address = address
        command = [build / "tests/smtp_sink", "--address", address, "--port", str(port), "--expect", str(expect), *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def end(self):
        line = self.process.stdout.readline()
        self.process.wait()
        return json.loads(line)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class SilentPort:
    """A listener whose queue of connections is full: the kernel drops further SYNs."""

    def __init__(self):
        self.listener = socket.socket()
        self.address = HOLE
        self.listener.bind((HOLE, 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fill = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((HOLE, self.port))
            self.fill.append(s)
        time.sleep(0.2)
        probe = socket.socket()
        probe.settimeout(0.5)
        try:
            probe.connect((HOLE, self.port))
            raise SystemExit("the full listener accepts connections all the same")
        except TimeoutError:
            pass

    def stop(self):
        self.listener.close()


def throughput(build, relay, sink_port, number):
    sink = Sink(build, HEALTHY, sink_port, number)
    began = time.monotonic()
    load = submit(build, relay, number, "user@healthy.test")
    end = sink.end()
    took = time.monotonic() - began
    load.wait()
    if end["distinct"] != number:
        raise SystemExit(f"only {end['distinct']} of {number} arrived")
    return number / took


def measure(options, what, hole, folder):
    build = options.build.resolve()
    port = Sink(build, HEALTHY)
    healthy = port.port
    port.stop()
    settings = {"queue.min_free_space": '"0%"', "log.level": '"error"'}
    routes = {"healthy.test": f"{HEALTHY}:{healthy}", "hole.test": f"{HOLE}:{hole.port}"}
    alone = Relay(build, folder, routes, settings, f"alone-{what}")
    loaded = Relay(build, folder, routes, settings, f"loaded-{what}")
    for relay in (alone, loaded):
        relay.start()
    if submit(build, loaded, options.backlog, "user@hole.test").wait():
        raise SystemExit("the backlog was not accepted")
    print(f"{what}: the backlog is queued", file=sys.stderr)
    figures, cpu = {alone: [], loaded: []}, {alone: 0.0, loaded: 0.0}
    for round in range(options.rounds + 1):
        for relay, other in ((alone, loaded), (loaded, alone)):
            other.process.send_signal(signal.SIGSTOP)
            relay.process.send_signal(signal.SIGCONT)
            before = relay.cpu_seconds()
            figure = throughput(build, relay, healthy, options.fresh)
            if round:  # the first warms up
                figures[relay].append(figure)
                cpu[relay] += relay.cpu_seconds() - before
    for relay in (alone, loaded):
        relay.process.send_signal(signal.SIGCONT)
    left = len(loaded.ask("queue", "list", "--to", "hole.test", "--limit", str(options.backlog + 1)))
    for relay in (alone, loaded):
        relay.kill()
    middle = [statistics.median(figures[relay]) for relay in (alone, loaded)]
    # Of neighbouring rounds, so that whatever else the machine does falls on both.
    share = statistics.median(b / a for a, b in zip(figures[alone], figures[loaded]))
    spread = lambda relay: f"{min(figures[relay]):.0f} to {max(figures[relay]):.0f}"
    each = {relay: 1e6 * cpu[relay] / options.rounds / options.fresh for relay in cpu}
    print(f"{what}: {each[alone]:.0f} µs of CPU for a message alone, {each[loaded]:.0f} behind the backlog", file=sys.stderr)
    print(f"| {what} | {left} | {middle[0]:.0f} ({spread(alone)}) | {middle[1]:.0f} ({spread(loaded)}) | {share:.0%} | ≥ 90 % |", flush=True)
    return share >= 0.9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--backlog", type=int, default=50000)
    parser.add_argument("--fresh", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    print("| black hole | queued for it | alone, messages/s (range) | behind the backlog | share | target |\n|---|---|---|---|---|---|")
    met = True
    with tempfile.TemporaryDirectory() as name:
        for what, make in (("takes TCP, never speaks", lambda: Sink(options.build.resolve(), HOLE, 0, 0, "--mute")),
                           ("drops SYN", SilentPort)):
            hole = make()
            met = measure(options, what, hole, pathlib.Path(name)) and met
            hole.stop()
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
