#!/usr/bin/python3
"""Power cuts for real: ext4 on a loop device is shut down at every point of a life of the store, and then mounted again.

  tests/power_cut/run.py [--every N] [--from N] [--build build/release]

A life (tests/crash_matrix/life.cc) counts the calls by which it changes or syncs files. Then, for each of them, it lives
again on a fresh file system, and at that call ioctl(EXT4_IOC_SHUTDOWN) cuts it off from its disk: nothing more is written,
not even the journal, and the process dies. The file system is mounted again (its journal is read back), checked, and
the store recovers and is judged as in tests/crash_matrix. Each point is tried without and with a flush of the journal
before, on ext4 as it is mounted by default and with data=writeback,noauto_da_alloc, which promises less. Exit code 1
when something is wrong, 77 where there is no root or no loop device.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile
import time

from loop_disk import LOG_FLUSH, NO_LOG_FLUSH, LoopDisk, make_image, own_mounts, works

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 60  # seconds for one life
KINDS = [("journal lost", NO_LOG_FLUSH, ""), ("journal kept", LOG_FLUSH, ""),
         ("writeback, journal lost", NO_LOG_FLUSH, "data=writeback,noauto_da_alloc"),
         ("writeback, journal kept", LOG_FLUSH, "data=writeback,noauto_da_alloc")]


def count(binary):
    with tempfile.TemporaryDirectory() as name:
        said = subprocess.run([binary, "live", f"{name}/data", "count"], stdout=subprocess.PIPE, text=True, timeout=LIMIT).stdout
    if "done all" not in said or "refused" in said:
        sys.exit("an undisturbed life already goes wrong:\n" + said)
    return int(said.splitlines()[-1].split()[1])


def try_point(binary, template, kind, at):
    """(what was wrong or "", whether the point was met)."""
    _, flags, options = kind
    with tempfile.TemporaryDirectory() as name, LoopDisk(name, options=options, template=template) as disk:
        data = disk.at / "data"
        life = subprocess.run([binary, "live", data, "cut", str(at), str(flags)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
        if "the ioctl failed" in life.stdout:
            return life.stdout.splitlines()[-1], False
        met = life.returncode == -9
        if wrong := disk.power_on():
            return "fsck: " + wrong, met
        end = subprocess.run([binary, "check", data], input=life.stdout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, timeout=LIMIT)
        return (end.stdout.strip().replace("\n", "; ") or f"exit code {end.returncode}") if end.returncode else "", met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--every", type=int, default=1, help="each N-th point")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first call; the making of the store has about 310")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    binary = options.build.resolve() / "tests/store_life"
    began = time.monotonic()
    own_mounts()
    with tempfile.TemporaryDirectory() as name:
        if why := works(name):
            print(f"skipped: {why}")
            sys.exit(77)  # ctest takes that for skipped
        template = pathlib.Path(name) / "template"
        make_image(template)
        total = count(binary)
        points = [(kind, at) for at in range(options.first, total + 1) for kind in KINDS][::options.every]
        met, broken = collections.Counter(), 0
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for (kind, at), (wrong, was_met) in zip(points, pool.map(lambda p: try_point(binary, template, *p), points)):
                met[kind[0]] += was_met
                if wrong:
                    broken += 1
                    print(f"BROKEN: call {at} of {total}, {kind[0]}: {wrong}", flush=True)
    print(f"{total} calls in one life, from number {options.first} on {len(points)} power cuts, of which were met: " +
          ", ".join(f"{n} {kind}" for kind, n in met.items()) + f"; broken: {broken}; {time.monotonic() - began:.0f} s")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
