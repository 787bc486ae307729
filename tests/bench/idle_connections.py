#!/usr/bin/python3
"""What thousands of idle connections cost: memory of the relay, and time of the clients that work meanwhile.

  tests/bench/idle_connections.py [--build build/release] [--idle 5000] [--active 200] [--rounds 3] [--messages 4000]

Idle connections are of two kinds, half each unless --kind says otherwise: "greeted" have said EHLO in clear, "logged-in"
have said STARTTLS and AUTH and wait for the next message. They come from as many loopback addresses as the limit per
address asks for. The active ones submit 2 KiB messages over TLS, all at once (smtp_load). With and without idle ones
alternates, and the medians of the rounds are compared. A client that sends one octet in ten seconds looks on.
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
from submission_relay import PASSWORD, USER, Client, Relay, all_descriptors, source_address

PER_ADDRESS = 40


def slow_client(port, result):
    """Drips the first command; when it is cut, the seconds that it lasted."""
    client = Client(port)
    began = time.monotonic()
    client.socket.settimeout(10)
    for octet in "EHLO a-client-that-never-ends" * 10:
        client.socket.sendall(octet.encode())
        try:
            if not client.socket.recv(1):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    result.append(time.monotonic() - began)


def open_idle(relay, count, kind):
    clients = []
    for i in range(count):
        client = Client(relay.port, source_address(i // PER_ADDRESS))
        if kind == "logged-in" or kind == "both" and i % 2:
            answer = client.secure().log_in()
            if not answer.startswith("235"):
                sys.exit(f"login {i}: {answer}")
        else:
            client.ask("EHLO client.bench")
        clients.append(client)
    return clients


def load(build, relay, options):
    run = subprocess.run([build / "tests/smtp_load", "--port", str(relay.port), "--tls", "--auth", f"{USER}:{PASSWORD}",
                          "--connections", str(options.active), "--per-connection", "1000000",
                          "--messages", str(options.messages)], stdout=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit("smtp_load failed")
    return json.loads(run.stdout)


def alive(clients):
    """Every hundredth idle client is still served."""
    return all(client.ask("NOOP").startswith("250") for client in clients[::100])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--kind", choices=("greeted", "logged-in", "both"), default="both")
    parser.add_argument("--active", type=int, default=200)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    build = options.build.resolve()
    if all_descriptors() < options.idle + 200:
        sys.exit("the limit of open files (ulimit -Hn) is too low for that many connections")
    print(description(build))
    with tempfile.TemporaryDirectory() as folder:
        sink, relay = subprocess.Popen([build / "tests/smtp_sink"], stdout=subprocess.PIPE, text=True), None
        try:
            relay = Relay(build, pathlib.Path(folder), json.loads(sink.stdout.readline())["port"])
            slow = []
            dripping = threading.Thread(target=slow_client, args=(relay.hasty_port, slow))
            dripping.start()
            Client(relay.port).secure().log_in()  # from here on the password is known, and hundreds may log in at once
            load(build, relay, options)  # warms up: memory and caches of the active ones are not the idle ones'
            quiet, crowded, memory = [], [], []
            for turn in range(options.rounds):
                quiet.append(load(build, relay, options))
                before = relay.resident()
                began = time.monotonic()
                clients = open_idle(relay, options.idle, options.kind)
                print(f"round {turn + 1}: {len(clients)} idle connections after {time.monotonic() - began:.1f} s", flush=True)
                memory.append((relay.resident() - before) / len(clients) / 1024)
                crowded.append(load(build, relay, options))
                if not alive(clients):
                    sys.exit("an idle client was dropped")
                for client in clients:
                    client.close()
            dripping.join()
        finally:
            if relay:
                relay.stop()
            sink.terminate()
    # Later rounds use memory again that the first has given back to the process, so the first one tells.
    print(f"resident memory per idle connection: {memory[0]:.1f} KiB (first round; target: at most 64)")
    for figure in ("p50_ms", "p90_ms", "p99_ms"):
        alone = statistics.median(run[figure] for run in quiet)
        among = statistics.median(run[figure] for run in crowded)
        goal = " (target: under 2)" if figure == "p50_ms" else ""
        print(f"{options.active} active, {figure[:3]}: {alone:.1f} ms alone, {among:.1f} ms among {options.idle} idle: "
              f"{among / alone:.2f} times{goal}")
    print(f"messages a second: {statistics.median(run['per_second'] for run in quiet):.0f} alone, "
          f"{statistics.median(run['per_second'] for run in crowded):.0f} among them")
    print(f"one octet in ten seconds: cut after {slow[0]:.1f} s, where 30 s are allowed")
    met = memory[0] <= 64 and statistics.median(r["p50_ms"] for r in crowded) < 2 * statistics.median(r["p50_ms"] for r in quiet)
    sys.exit(0 if met and slow[0] < 45 else 1)


if __name__ == "__main__":
    main()
