#!/usr/bin/python3
"""The crash matrix: the store is killed, or given an error, at every one of its system calls, and then judged.

  tests/crash_matrix/run.py [--every N] [--often N] [--fresh] [--only NAME] [--no-errors] [--no-kills] [--build build/release]

A life of the store (store_life.cc: accept small and large, claim, deliver, defer, bounce, expire, hold, close, recover,
end) is traced once to count its calls. Then, for each (call, occurrence), it lives again under strace's injection:
SIGKILL at that call; an error there, once; an error there and ever after. And, by the program itself, which counts over all
threads: an error, once and ever after, at each call that changes or syncs a file; each write cut in half, once, and as the
last for which there was room. What it left is recovered twice and judged:
what was acknowledged is there and whole, what was cut off is there wholly or not at all, nothing is left behind, and
the queue still empties. --every N tries each N-th point. A call that occurs very often (each start looks at 256
directories) is tried at about 60 of its occurrences; --often N: at N, 0: at all. With --fresh each life begins by making the store, whose
thousands of calls are otherwise made before. Exit code 1 when something is wrong.

strace counts per thread: occurrence n of a name is that of whichever thread comes to its n-th first, and the others' n-th
may never be met; that is why the program counts for itself too.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Every call by which the store touches the file system.
CALLS = ["openat", "mkdir", "pread64", "pwrite64", "write", "fsync", "fdatasync", "ftruncate", "fallocate", "unlink", "unlinkat",
         "rename", "close", "fcntl", "flock", "lseek", "newfstatat", "fstat", "statfs", "fstatfs", "getdents64", "mmap", "munmap",
         "fchmod", "fchown", "geteuid", "access"]
# What each may answer on a bad day. retval=0 is a write that got nowhere.
ERRORS = {
    "openat": ["EIO", "EMFILE", "ENOSPC"], "mkdir": ["ENOSPC", "EIO"], "pread64": ["EIO"],
    "pwrite64": ["EIO", "ENOSPC", "EDQUOT", "short"], "write": ["EIO", "ENOSPC", "EDQUOT", "short"],
    "fsync": ["EIO", "ENOSPC"], "fdatasync": ["EIO", "ENOSPC"], "ftruncate": ["EIO", "ENOSPC"], "unlink": ["EIO"],
    "fcntl": ["EIO"], "fstat": ["EIO"], "newfstatat": ["EIO"], "fallocate": ["ENOSPC"], "statfs": ["EIO"], "mmap": ["ENOMEM"],
}
OWN_ERRORS = {  # by the kinds of tests/power_cut/disk_calls.h
    "make folder": ["EIO", "ENOSPC", "EDQUOT"], "create": ["EIO", "ENOSPC", "EDQUOT", "EMFILE"],
    "write": ["EIO", "ENOSPC", "EDQUOT"], "resize": ["EIO", "ENOSPC"], "sync": ["EIO", "ENOSPC", "EDQUOT"],
    "sync folder": ["EIO", "ENOSPC"], "remove": ["EIO"], "rename": ["EIO", "ENOSPC"],
}
OWN = ("a change", "half a write")
LIMIT = 60  # seconds for one life


def live(binary, folder, template, *strace):
    """What it said."""
    data = folder / "data"
    if template:
        shutil.copytree(template, data)
    try:
        return subprocess.run(["strace", "-f", "-o", folder / "trace", *strace, binary, "live", data], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=LIMIT).stdout
    except subprocess.TimeoutExpired as stuck:
        return (stuck.stdout or b"").decode() + "stuck\n"


def count(binary, template):
    """For each call: (its occurrences before the store opens, the most of one thread)."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        said = live(binary, folder, template, "-e", "trace=writev," + ",".join(CALLS))
        if "done all" not in said or "refused" in said:
            sys.exit("an undisturbed life already goes wrong:\n" + said)
        per_thread = collections.defaultdict(collections.Counter)
        before, total = None, 0
        for line in (folder / "trace").read_text().splitlines():
            thread, _, rest = line.partition(" ")
            call = re.match(r"\s*(\w+)\(", rest)
            if not call:
                continue
            if call[1] == "writev":
                if before is None and "begin open" in rest:
                    before = dict(per_thread[thread])
                continue
            per_thread[thread][call[1]] += 1
            total += 1
        most = {call: max(t[call] for t in per_thread.values()) for call in CALLS}
        return {call: (before.get(call, 0), most[call]) for call in CALLS if most[call] > before.get(call, 0)}, total


def own_points(binary):
    """Those that the program itself can make go wrong: (what, kind, number)."""
    with tempfile.TemporaryDirectory() as name:
        said = subprocess.run([binary, "live", f"{name}/data", "count"], stdout=subprocess.PIPE, text=True, timeout=LIMIT).stdout
    kinds, (_, _, _, writes) = said.splitlines()[-2].removeprefix("kinds ").split(","), said.splitlines()[-1].split()
    points = []
    for number, kind in enumerate(kinds, 1):
        if kind == "make folder" and number % 32:
            continue  # 256 of them in one go
        points += [("a change", f"{when} {error}", number) for error in OWN_ERRORS[kind] for when in ("once", "sticky")]
    for number in range(1, int(writes) + 1):
        points += [("half a write", "once short", number), ("half a write", "sticky full", number)]
    return points


def live_with_own_errors(binary, folder, call, kind, number):
    when, what = kind.split()
    how = ["fail", str(number), what, when] if call == "a change" else [what, str(number)]
    try:
        return subprocess.run([binary, "live", folder / "data", *how], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=LIMIT).stdout
    except subprocess.TimeoutExpired as stuck:
        return (stuck.stdout or b"").decode() + "stuck\n"


def judge(binary, folder, said):
    end = subprocess.run([binary, "check", folder / "data"], input=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, timeout=LIMIT)
    return end.returncode, end.stdout.strip()


def try_point(binary, template, call, kind, occurrence):
    """(what was wrong or "", whether the injection was met)."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        when, _, what = kind.partition(" ")
        if call in OWN:
            said = live_with_own_errors(binary, folder, call, kind, occurrence)
            return judged(binary, folder, said), True
        if when == "kill":
            action = f"signal=KILL:when={occurrence}"
        else:
            fault = "retval=0" if what == "short" else f"error={what}"
            action = f"{fault}:when={occurrence}" + ("+" if when == "sticky" else "")
        # Four times as fast, since only this call stops; but signals are not injected then (strace 6.1).
        quick = [] if when == "kill" else ["--seccomp-bpf"]
        said = live(binary, folder, template, *quick, "-e", f"trace={call}", "-e", f"inject={call}:{action}")
        trace = (folder / "trace").read_text()
        met = "killed by SIGKILL" in trace if when == "kill" else "(INJECTED)" in trace
        return judged(binary, folder, said), met


def judged(binary, folder, said):
    """What was wrong, or ""."""
    if said.endswith("stuck\n"):
        return "it hangs"
    if not (folder / "data").exists():
        return ""  # killed before it made anything
    code, wrong = judge(binary, folder, said)
    if code < 0:
        wrong += f" the judge died of signal {-code}"
    return (wrong or f"exit code {code}") if code else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--often", type=int, default=60, help="of a call that occurs more often, about so many; 0 for all")
    parser.add_argument("--only", help="this call alone; \"a change\" and \"half a write\" are the program's own")
    parser.add_argument("--no-errors", action="store_true", help="kills alone")
    parser.add_argument("--no-kills", action="store_true", help="errors alone")
    parser.add_argument("--fresh", action="store_true", help="the store is made in each life")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    binary = options.build.resolve() / "tests/store_life"
    if not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"]).returncode:
        sys.exit(77)  # it does not work here: ctest takes that for skipped
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        template = None if options.fresh else pathlib.Path(name) / "template"
        if template:
            subprocess.run([binary, "prepare", template], check=True)
        sys.exit(matrix(options, binary, template, began))


def matrix(options, binary, template, began):
    calls, total = count(binary, template)
    points = []
    for call, (before, most) in calls.items():
        if options.only in (None, call):
            for occurrence in range(before + 1, most + 1, max(1, (most - before) // options.often) if options.often else 1):
                if not options.no_kills:
                    points.append((call, "kill", occurrence))
                for error in [] if options.no_errors else ERRORS.get(call, []):
                    points += [(call, f"once {error}", occurrence), (call, f"sticky {error}", occurrence)]
    if options.only in (None, *OWN) and not options.no_errors:
        points += [point for point in own_points(binary) if options.only in (None, point[0])]
    points = points[::options.every]
    tried, met, broken = collections.Counter(), collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for point, (wrong, was_met) in zip(points, pool.map(lambda p: try_point(binary, template, *p), points)):
            when = point[1].split()[0]
            tried[when] += 1
            met[when] += was_met
            if wrong:
                broken.append(point)
                print(f"BROKEN: {point[1]} at {point[0]} number {point[2]}: {wrong}", flush=True)
    print(f"{total} calls of {len(calls)} kinds in one life; " +
          ", ".join(f"{tried[w]} points of '{w}' ({met[w]} met)" for w in tried) +
          f"; broken: {len(broken)}; {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    main()
