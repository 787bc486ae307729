"""The cases of the comparison. Each takes a Run and gives figures by name; compare.py knows what they mean."""
import json
import pathlib
import subprocess
import tempfile
import time

from machine import certificate, cpu_seconds, free_port, memory_mib, thread_seconds
from relays import PASSWORD, USER, Postfix, Setup

SLOW_CONNECTIONS, SLOW_DELAY_MS = 200, 100
KIB = 1024


class Sink:
    """smtp_sink; ends by itself once `expect` distinct messages are there."""

    def __init__(self, build, folder, expect, tls=False, port=0, *extra):
        secure = ["--certificate", folder / "cert.pem", "--key", folder / "key.pem"] if tls else []
        self.process = subprocess.Popen([build / "tests/smtp_sink", "--expect", str(expect), "--port", str(port), *secure, *extra],
                                        stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def result(self, seconds=240):
        try:
            out, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            out, _ = self.process.communicate()
        return json.loads(out.splitlines()[-1])

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate()


class Run:
    """One relay in one case: its folder, its sinks, its process. Everything ends with the `with`."""

    def __init__(self, server, build):
        self.server, self.build = server, build

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="holdfast-bench-", ignore_cleanup_errors=True)
        self.folder = pathlib.Path(self.temporary.name)
        certificate(self.folder)
        self.sinks, self.relay = [], None
        return self

    def __exit__(self, *_):
        try:
            if self.relay:
                self.relay.stop()
        finally:
            for sink in self.sinks:
                sink.stop()
            self.temporary.cleanup()

    def sink(self, expect, *extra, tls=False, port=0):
        self.sinks.append(Sink(self.build, self.folder, expect, tls, port, *extra))
        return self.sinks[-1]

    def start(self, setup):
        self.relay = self.server(self.build, self.folder, setup)
        return self.relay

    def load(self, messages, size, tls=False, *extra):
        done = subprocess.run([self.build / "tests/smtp_load", "--port", str(self.relay.port), "--messages", str(messages),
                               "--size", str(size), "--seconds", "240", *(["--tls"] if tls else []), *extra],
                              stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def background_load(self, messages, size, *extra):
        return subprocess.Popen([self.build / "tests/smtp_load", "--port", str(self.relay.port), "--messages", str(messages),
                                 "--size", str(size), "--seconds", "240", *extra], stdout=subprocess.PIPE, text=True)


def complete(sunk, messages, recipients=1):
    """All came, none twice: else the figures mean nothing. A message of many recipients may come in parts."""
    twice = sunk["duplicates"] if recipients == 1 else 0
    if sunk["distinct"] != messages or twice or sunk["recipients"] != messages * recipients:
        raise RuntimeError(f"of {messages} messages {sunk['distinct']} arrived, {sunk['duplicates']} of them more than once, "
                           f"for {sunk['recipients']} of {messages * recipients} recipients")


def through(run, messages, size, tls=False, auth=False, threads=0, extra=()):
    """From a load generator to a sink: rate of what arrived, CPU of the relay, latency of acceptance."""
    sink = run.sink(messages, *(["--auth"] if auth else []), tls=tls)
    relay = run.start(Setup({"*": sink.port}, tls=tls, auth=auth, threads=threads))
    login = ["--auth", f"{USER}:{PASSWORD}"] if auth else []
    before, start = cpu_seconds(relay.pid), time.monotonic()
    accepted = run.load(messages, size, tls, *login, *extra)
    sunk = sink.result()
    took = time.monotonic() - start
    cpu = cpu_seconds(relay.pid) - before
    complete(sunk, messages)
    return {"msg/s": messages / took, "CPU ms/msg": cpu * 1000 / messages, "accept p50 ms": accepted["p50_ms"],
            "accept p99 ms": accepted["p99_ms"], "sink connections": sunk["connections"]}


def clear(run, n):
    return through(run, n, 2 * KIB)


def tls(run, n):
    return through(run, n, 2 * KIB, tls=True)


def tls_50k(run, n):
    return through(run, n, 50 * KIB, tls=True)


def tls_1m(run, n):
    return through(run, n, 1024 * KIB, tls=True)


def one_connection(run, n):
    figures = through(run, n, 2 * KIB, extra=["--connections", "1", "--per-connection", str(n)])
    return {key: figures[key] for key in ("accept p50 ms", "accept p99 ms")}


def auth(run, n):
    if run.server is Postfix and not Postfix.can_authenticate():
        raise RuntimeError("AUTH is not measured: saslpasswd2 (Debian's sasl2-bin) is missing")
    return through(run, n, 2 * KIB, tls=True, auth=True)


def backlog(run, n):
    """The sink is down while n messages come in; then it comes up and all is tried at once."""
    port = free_port()
    relay = run.start(Setup({"*": port}))
    start = time.monotonic()
    accepted = run.load(n, 2 * KIB)
    inject = accepted["messages"] / (time.monotonic() - start)
    time.sleep(2)  # what is under way settles
    rss, pss = memory_mib(relay.pid)
    sink = run.sink(n, port=port)
    before, start = cpu_seconds(relay.pid), time.monotonic()
    relay.flush()
    sunk = sink.result()
    took = time.monotonic() - start
    complete(sunk, n)
    return {"inject msg/s": inject, "drain msg/s": n / took, "drain CPU ms/msg": (cpu_seconds(relay.pid) - before) * 1000 / n,
            "RSS MiB": rss, "PSS MiB": pss}


def slow_sink(run, n, *extra):
    """Each reply takes 100 ms; 200 connections may be used. The sink's clock counts, from the first message to the last."""
    sink = run.sink(n, "--delay-ms", str(SLOW_DELAY_MS), *extra)
    run.start(Setup({"*": sink.port}, connections=SLOW_CONNECTIONS, reuse=1000))
    run.load(n, 2 * KIB)
    sunk = sink.result(400)
    complete(sunk, n)
    # Two flights are the least that DATA takes (envelope; content); RFC 3030 lets BDAT go with the envelope.
    flights = 2 if "--no-chunking" in extra else 1
    limit = SLOW_CONNECTIONS / (flights * SLOW_DELAY_MS / 1000)
    rate = n / sunk["seconds"]
    return {"msg/s": rate, "share of the limit": rate / limit}


def slow_data(run, n):
    return slow_sink(run, n, "--no-chunking")


def half_silent(run, n):
    """Half of the mail goes to a destination that accepts TCP and never speaks. First beside a healthy one, then beside that."""
    rates = []
    for silent in (False, True):
        with Run(run.server, run.build) as part:
            healthy = part.sink(n // 2)
            other = part.sink(0 if silent else n // 2, *(["--mute"] if silent else []))
            part.start(Setup({"0.bench.test": healthy.port, "1.bench.test": other.port}))
            start = time.monotonic()
            load = part.background_load(n, 2 * KIB, "--destinations", "2")
            sunk = healthy.result(120)
            rates.append(n / 2 / (time.monotonic() - start))
            load.communicate()
            complete(sunk, n // 2)
    return {"healthy half msg/s": rates[1], "of its rate": rates[1] / rates[0]}


def syncs(run, n):
    """Calls that wait for the disk, counted by sync_count.cc, a message of 2 KiB at 50 connections."""
    counter = run.folder / "syncs"
    counter.write_bytes(bytes(8))
    counter.chmod(0o666)
    sink = run.sink(n)
    run.start(Setup({"*": sink.port}, count_syncs=counter))
    read = lambda: int.from_bytes(counter.read_bytes(), "little")
    before = read()
    run.load(n, 2 * KIB)
    accepted = read()
    complete(sink.result(), n)
    if accepted == before:
        raise RuntimeError("no sync was counted: is tests/libsync_count.so built?")
    return {"syncs/msg": (read() - before) / n}


def workers(run, n):
    """One worker thread against two, under TLS: the rate, and the CPU of the busiest thread, which limits the rate where
    cores are plenty."""
    rates, cpu, busiest = [], [], []
    for threads in (1, 2):
        with Run(run.server, run.build) as part:
            sink = part.sink(n, tls=True)
            relay = part.start(Setup({"*": sink.port}, tls=True, threads=threads))
            before, start = thread_seconds(relay.pid), time.monotonic()
            part.load(n, 2 * KIB, True)
            complete(sink.result(), n)
            rates.append(n / (time.monotonic() - start))
            used = [after - before.get(thread, 0) for thread, after in thread_seconds(relay.pid).items()]
            cpu.append(sum(used) * 1000 / n)
            busiest.append(max(used) * 1000 / n)
    return {"two workers to one": busiest[0] / busiest[1], "busiest thread, one": busiest[0], "busiest thread, two": busiest[1],
            "CPU ms/msg, one": cpu[0], "CPU ms/msg, two": cpu[1], "rate, two to one": rates[1] / rates[0]}
