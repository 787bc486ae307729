#!/usr/bin/python3
"""How cost grows: CPU per message and rate against destinations, queued messages, size and recipients.

  tests/bench/growth.py [--quick] [--only NAME]… [--out tests/bench/growth] [--build build/release]

Holdfast alone, in clear on both sides. Prints a Markdown table, and writes growth.csv and a plot (SVG) of each series
into --out. Cost per message has to stay flat with the number of queued messages.
"""
import argparse
import pathlib
import subprocess
import sys
import time

import cases
from machine import ROOT, cpu_seconds, description, memory_mib
from relays import Holdfast, Setup

KIB = 1024


def through(run, messages, size=2 * KIB, recipients=1, destinations=1):
    """CPU ms and rate per message from acceptance to the sink."""
    sink = run.sink(messages, "--expect-recipients", str(messages * recipients))
    relay = run.start(Setup({"*": sink.port}) if destinations == 1 else
                      Setup({f"{d}.bench.test": sink.port for d in range(destinations)}))
    before, start = cpu_seconds(relay.pid), time.monotonic()
    run.load(messages, size, False, "--recipients", str(recipients), "--destinations", str(destinations))
    cases.complete(sink.result(), messages, recipients)
    took = time.monotonic() - start
    return (cpu_seconds(relay.pid) - before) * 1000 / messages, messages / took


def beside_a_queue(run, messages, queued):
    """The same with `queued` messages waiting for a destination that is down."""
    sink = run.sink(messages)
    nobody = run.sink(1).port
    run.sinks[-1].stop()
    relay = run.start(Setup({"queued.test": nobody, "0.bench.test": sink.port}))
    if queued:
        run.load(queued, 2 * KIB, False, "--recipient", "user@queued.test", "--first-id", "10000000")
        time.sleep(3)
    before, start = cpu_seconds(relay.pid), time.monotonic()
    run.load(messages, 2 * KIB)
    cases.complete(sink.result(), messages)
    took = time.monotonic() - start
    cpu = (cpu_seconds(relay.pid) - before) * 1000 / messages
    return cpu, messages / took, memory_mib(relay.pid)[0]


SERIES = {
    # name: (what grows, values, values of the quick form, run of a value)
    "destinations": ([1, 10, 100, 1000], [1, 10, 100], lambda run, d, n: through(run, n, destinations=d)),
    # Six times as many messages: what a dead destination costs comes in steps, seconds apart.
    "queued": ([0, 10000, 200000], [0, 10000], lambda run, q, n: beside_a_queue(run, 6 * n, q)),
    "octets": ([2 * KIB, 16 * KIB, 128 * KIB, 1024 * KIB, 8192 * KIB, 25 * 1000 * KIB], [2 * KIB, 128 * KIB, 1024 * KIB],
               lambda run, size, n: through(run, max(20, min(n, n * 16 * KIB // size)), size=size)),
    "recipients": ([1, 4, 16, 64], [1, 16], lambda run, r, n: through(run, max(100, n // r), recipients=r)),
}


def svg(title, xs, ys, path):
    """Points and a line; both axes begin where the smallest value is, the vertical one at 0; x by rank."""
    width, height, left, bottom = 480, 280, 60, 40
    top = max(ys) * 1.1 or 1
    x_of = lambda i: left + (width - left - 20) * (i / max(1, len(xs) - 1))
    y_of = lambda y: (height - bottom) - (height - bottom - 20) * (y / top)
    points = " ".join(f"{x_of(i):.1f},{y_of(y):.1f}" for i, y in enumerate(ys))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{left}" y="14">CPU ms per message by {title}</text>',
             f'<path d="M{left} 20V{height - bottom}H{width - 10}" fill="none" stroke="#888"/>',
             f'<polyline points="{points}" fill="none" stroke="#1f5f8b" stroke-width="2"/>']
    for i, (x, y) in enumerate(zip(xs, ys)):
        parts.append(f'<circle cx="{x_of(i):.1f}" cy="{y_of(y):.1f}" r="3" fill="#1f5f8b"/>')
        parts.append(f'<text x="{x_of(i):.1f}" y="{height - bottom + 16}" text-anchor="middle">{x}</text>')
        parts.append(f'<text x="{x_of(i):.1f}" y="{y_of(y) - 8:.1f}" text-anchor="middle">{y:.2f}</text>')
    path.write_text("\n".join(parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=SERIES)
    parser.add_argument("--messages", type=int)
    parser.add_argument("--out", default=ROOT / "tests/bench/growth", type=pathlib.Path)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    build = options.build.resolve()
    messages = options.messages or (3000 if options.quick else 10000)
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    print(description(build) + "\n")
    print("| series | value | CPU ms/msg | msg/s | RSS MiB |\n|---|---|---|---|---|", flush=True)
    rows = []
    for name in options.only or SERIES:
        full, quick, measure = SERIES[name]
        xs, ys = [], []
        for value in quick if options.quick else full:
            try:
                with cases.Run(Holdfast, build) as run:
                    cpu, rate, *rest = measure(run, value, messages)
            except (RuntimeError, OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
                print(f"{name} {value}: {error}", file=sys.stderr)
                continue
            xs.append(value)
            ys.append(cpu)
            rows.append(f"{name},{value},{cpu:.4f},{rate:.1f}")
            print(f"| {name} | {value} | {cpu:.3f} | {rate:.0f} | {rest[0]:.0f} |" if rest else
                  f"| {name} | {value} | {cpu:.3f} | {rate:.0f} | |", flush=True)
        if xs:
            svg(name, xs, ys, options.out / f"{name}.svg")
    (options.out / "growth.csv").write_text("series,value,cpu_ms_per_message,messages_per_second\n" + "\n".join(rows) + "\n")
    print(f"\ntook {(time.monotonic() - began) / 60:.1f} minutes; plots in {options.out}")


if __name__ == "__main__":
    main()
