#!/usr/bin/python3
"""How logins behave: whether time tells known users from unknown ones, and what a flood of guesses does to others.

  tests/bench/auth_figures.py [--build build/release] [--samples 200] [--guessers 200] [--seconds 20]

First, wrong passwords for a user that exists and for users that do not, in turn, several at a time; the medians must not
differ by more than 1 ms. Then the same user submits from a connection that is logged in, and from new ones (TCP, TLS,
AUTH, message) whose address has logged in before; alone, and while guessers from thousands of addresses try passwords and
hang up without waiting. Once with the cache of verified passwords, and once without, where each login is a hash. Guessers, clients and relay share this machine's cores, as they would not elsewhere.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from machine import ROOT, description
from submission_relay import Client, Relay, USER, all_descriptors, source_address

AT_ONCE = 4  # few enough that their hashes do not wait for each other


def guess_time(port, user, number):
    client = Client(port, source_address(number)).secure()
    began = time.monotonic()
    answer = client.log_in(user, f"guess {number}")
    took = time.monotonic() - began
    client.close()
    if not answer.startswith("535"):
        sys.exit(f"a wrong password for {user}: {answer}")
    return took * 1000


def timing(port, samples):
    """Milliseconds per answer: of a known user, of unknown ones. Known and unknown take turns in every thread."""
    known, unknown = [], []

    def work(thread):
        for i in range(samples // AT_ONCE):
            number = (thread * samples + i) * 2
            for user, into in sorted([(USER, known), (f"user{number}", unknown)], reverse=bool(i % 2)):
                into.append(guess_time(port, user, number))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return known, unknown


def guessers(port, count, seconds, first):
    """A process of its own, so that the clients that are measured do not share its interpreter."""
    code = f"""
import itertools, sys, threading, time
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
from submission_relay import Client, all_descriptors, source_address
all_descriptors()
end = time.monotonic() + {seconds}
numbers = itertools.count({first})
tried = itertools.count()
def work():
    while time.monotonic() < end:
        number = next(numbers)
        try:
            client = Client({port}, source_address(number), timeout=10).secure()
            client.say(client.plain('user%d' % (number % 7), 'guess'))
            next(tried)
            time.sleep(0.2)
            client.close()
        except OSError:
            pass
threads = [threading.Thread(target=work, daemon=True) for _ in range({count})]
for t in threads: t.start()
for t in threads: t.join({seconds} + 15)
print(next(tried))
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def submissions(port, seconds):
    """Milliseconds of each message on an open connection, and of each whole visit; answers that were no yes."""
    open_ones, visits, refused = [], [], []
    client = Client(port).secure()
    refused += [answer for answer in [client.log_in()] if not answer.startswith("235")]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        answer = client.submit()
        open_ones.append((time.monotonic() - began) * 1000)
        began = time.monotonic()
        visitor = Client(port).secure()
        login = visitor.log_in()
        if login.startswith("235"):
            login = visitor.submit()
        visits.append((time.monotonic() - began) * 1000)
        visitor.close()
        refused += [text for text in (answer, login) if not text.startswith("2")]
        time.sleep(0.02)
    client.close()
    return open_ones, visits, refused


def spread(values):
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):.1f} ms, p99 {ordered[int(len(ordered) * 0.99)]:.1f} ms ({len(ordered)})"


def show_timing(port, samples):
    known, unknown = timing(port, samples)
    difference = abs(statistics.median(known) - statistics.median(unknown))
    print(f"wrong password, known user:   {spread(known)}")
    print(f"wrong password, unknown user: {spread(unknown)}")
    print(f"medians differ by {difference:.3f} ms (target: at most 1)", flush=True)
    return difference <= 1


def show_flood(port, options, cache):
    alone = submissions(port, options.seconds)
    flood = guessers(port, options.guessers, options.seconds + 10, 1_000_000)
    time.sleep(5)
    among = submissions(port, options.seconds)
    tried = int(flood.communicate()[0])
    print(f"flood, auth.cache {cache}: {tried / (options.seconds + 10):.0f} guesses a second from as many addresses")
    for name, before, during in (("logged in", alone[0], among[0]), ("new connection", alone[1], among[1])):
        print(f"  {name}: alone {spread(before)}; during the flood {spread(during)}")
    print(f"  refused: {len(alone[2])} alone, {len(among[2])} during the flood {sorted(set(among[2]))[:3]}", flush=True)
    return not among[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--samples", type=int, default=200, help="of each kind")
    parser.add_argument("--guessers", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    build = options.build.resolve()
    all_descriptors()
    print(description(build))
    sink = subprocess.Popen([build / "tests/smtp_sink"], stdout=subprocess.PIPE, text=True)
    sink_port = json.loads(sink.stdout.readline())["port"]
    met = True
    try:
        for cache in ("5m", "0s"):
            with tempfile.TemporaryDirectory() as folder:
                relay = Relay(build, pathlib.Path(folder), sink_port, cache=cache)
                try:
                    if cache == "5m":
                        met = show_timing(relay.port, options.samples)
                    met = show_flood(relay.port, options, cache) and met
                finally:
                    relay.stop()
    finally:
        sink.terminate()
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
