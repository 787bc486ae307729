#!/usr/bin/python3
"""Holdfast and Postfix side by side: the same load, the same sink, in turn, on this machine.

  tests/bench/compare.py [--quick] [--case NAME]… [--rounds 3] [--only holdfast|postfix] [--build build/release]

Prints a Markdown table: minimum / median / maximum of the rounds, the ratio of the medians, and the target. Needs root
for Postfix, which runs from a private directory; a Postfix that is configured on this machine is not touched.
Everything stays on 127.0.0.1 and ends with this program.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import cases
from machine import ROOT, description
from relays import Holdfast, Postfix

# What a ratio means: "times" is ours to theirs, "part" is 1/(theirs to ours), "none" stands alone.
# figure: (digits, kind)
FIGURES = {
    "msg/s": (0, "times"), "inject msg/s": (0, "times"), "drain msg/s": (0, "times"), "healthy half msg/s": (0, "times"),
    "CPU ms/msg": (3, "part"), "drain CPU ms/msg": (3, "part"), "accept p50 ms": (2, "part"), "accept p99 ms": (1, "part"),
    "RSS MiB": (0, "part"), "PSS MiB": (0, "part"), "share of the limit": (2, "none"), "of its rate": (2, "none"),
    "syncs/msg": (3, "part"), "two workers to one": (2, "none"), "CPU ms/msg, one": (3, "none"), "CPU ms/msg, two": (3, "none"),
    "busiest thread, one": (3, "none"), "busiest thread, two": (3, "none"), "rate, two to one": (2, "none"),
    "sink connections": (0, "none"),
}


class Case:
    def __init__(self, run, quick, full, targets, only=None):
        self.run, self.quick, self.full, self.only = run, quick, full, only
        self.targets = targets  # {figure: (text, test of (ours, theirs))}; theirs is None without Postfix


def times(least):
    return f"≥ {least}×", lambda ours, theirs: theirs and ours >= least * theirs


def part(most):
    return f"≤ 1/{most}", lambda ours, theirs: theirs and ours <= theirs / most


def at_least(value):
    return f"≥ {value}", lambda ours, _: ours >= value


def at_most(value):
    return f"≤ {value}", lambda ours, _: ours <= value


CASES = {
    "2 KiB, TLS": Case(cases.tls, 3000, 10000, {"msg/s": times(6), "CPU ms/msg": part(10), "accept p99 ms": part(4)}),
    "2 KiB, clear": Case(cases.clear, 4000, 20000, {"msg/s": times(8), "CPU ms/msg": part(12), "accept p99 ms": part(4)}),
    "50 KiB, TLS": Case(cases.tls_50k, 1500, 5000, {"msg/s": times(6), "CPU ms/msg": part(8)}),
    "1 MiB, TLS": Case(cases.tls_1m, 150, 500, {"msg/s": times(3), "CPU ms/msg": part(4)}),
    "one connection": Case(cases.one_connection, 500, 2000, {"accept p50 ms": part(1)}),
    "backlog": Case(cases.backlog, 20000, 20000, {"inject msg/s": times(5), "drain msg/s": times(4), "RSS MiB": at_most(64)}),
    "100 ms a reply, BDAT": Case(cases.slow_sink, 40000, 40000, {"share of the limit": at_least(0.9)}),
    "100 ms a reply, DATA": Case(cases.slow_data, 20000, 20000, {"share of the limit": at_least(0.9)}),
    "half silent": Case(cases.half_silent, 4000, 10000, {"of its rate": at_least(0.95)}),
    "syncs": Case(cases.syncs, 3000, 10000, {"syncs/msg": at_most(0.1)}),
    "workers": Case(cases.workers, 6000, 20000, {"two workers to one": at_least(1.7)}, only=Holdfast),
    "AUTH, 2 KiB, TLS": Case(cases.auth, 3000, 10000, {}),
}


def measure(case, server, build, messages):
    try:
        with cases.Run(server, build) as run:
            return case.run(run, messages)
    except (RuntimeError, OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        print(f"{server.name}: {error}", file=sys.stderr, flush=True)
        return None


def spread(values, digits):
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{min(values):.{digits}f} / {statistics.median(values):.{digits}f} / {max(values):.{digits}f}"


def ratio(ours, theirs, kind):
    if kind == "none" or not ours or not theirs:
        return ""
    return f"{ours / theirs:.1f}×" if kind == "times" else f"1/{theirs / ours:.1f}"


def print_case(name, case, results, asked):
    for server, rounds in results.items():
        if len(rounds) < asked:
            print(f"{name}: {len(rounds)} of {asked} rounds of {server.name} came to an end", file=sys.stderr, flush=True)
    figures = next((r[0] for r in results.values() if r), {})
    if not figures:
        print(f"| {name} | failed | – | – |  |  |  |", flush=True)
    for figure in figures:
        digits, kind = FIGURES[figure]
        values = {server: [r[figure] for r in rounds] for server, rounds in results.items()}
        middle = {server: statistics.median(v) if v else None for server, v in values.items()}
        ours, theirs = middle.get(Holdfast), middle.get(Postfix)
        target, met = case.targets.get(figure, ("", None))
        verdict = "" if met is None or ours is None else "met" if met(ours, theirs) else "missed"
        if met is not None and theirs is None and target[0] in "≥≤" and ("×" in target or "1/" in target):
            verdict = ""  # nothing to compare with
        print(f"| {name} | {figure} | {spread(values.get(Holdfast, []), digits)} | {spread(values.get(Postfix, []), digits)} | "
              f"{ratio(ours, theirs, kind)} | {target} | {verdict} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--quick", action="store_true", help="one round of fewer messages")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--messages", type=int)
    parser.add_argument("--only", choices=["holdfast", "postfix"])
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    servers = [s for s in (Holdfast, Postfix) if options.only in (None, s.name)]
    if Postfix in servers and (os.geteuid() != 0 or shutil.which("postfix") is None):
        print("Postfix is not measured: " + ("it is not installed" if os.geteuid() == 0 else "that needs root"), file=sys.stderr)
        servers.remove(Postfix)
    build = options.build.resolve()
    rounds = options.rounds or (1 if options.quick else 3)
    began = time.monotonic()
    print(description(build) + f"; {rounds} round{'s' if rounds > 1 else ''} in turn\n")
    print("| case | figure | Holdfast | Postfix | ratio | target | |\n|---|---|---|---|---|---|---|", flush=True)
    for name in options.case or CASES:
        case = CASES[name]
        taking_part = [s for s in servers if case.only in (None, s)]
        results = {server: [] for server in taking_part}
        for _ in range(rounds):
            for server in taking_part:
                figures = measure(case, server, build, options.messages or (case.quick if options.quick else case.full))
                if figures:
                    results[server].append(figures)
        print_case(name, case, results, rounds)
    print(f"\ntook {(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
