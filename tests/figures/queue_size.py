#!/usr/bin/python3
"""What a long queue costs: memory, start-up time and disk with 200,000 queued messages.

  tests/figures/queue_size.py [--messages 200000] [--domains 1000] [--build build/release]

The messages (2 KiB, one recipient each) are for domains whose server refuses connections. The relay is measured while
it holds them, killed, and measured again as it starts with them: from exec to the greeting of its listener. Targets:
under 200 MiB, under 2 s. Needs smtp_load (`cmake --build build/release --target smtp_load`).
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from relay import Relay, add_options, free_port


def queued(relay):
    return json.loads(subprocess.run([relay.binary, "status", "--json", "-c", relay.config], stdout=subprocess.PIPE).stdout)


def settle(relay, seconds=10):
    """Memory after it had time to look at its queue: (resident now, the most so far)."""
    time.sleep(seconds)
    return relay.memory_mib()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--messages", type=int, default=200000)
    parser.add_argument("--domains", type=int, default=1000)
    options = parser.parse_args()
    load = options.build.resolve() / "tests/smtp_load"
    if not load.exists():
        sys.exit(f"there is no {load}: build the target smtp_load")
    with tempfile.TemporaryDirectory() as name:
        # By domain, not by route: each has its own place in the scheduler's tables. The resolver answers nothing, so
        # all of them wait.
        relay = Relay(options.build, pathlib.Path(name), {}, {"queue.min_free_space": '"0%"', "log.level": '"error"',
                                                              "delivery.retry": '["15m"]'})
        empty_start = relay.start()
        empty, _ = settle(relay, 3)
        began = time.monotonic()
        out = subprocess.run([load, "--port", str(relay.port), "--messages", str(options.messages), "--connections", "20",
                              "--per-connection", "1000", "--size", "2048", "--destinations", str(options.domains),
                              "--recipient", "user@d%d.queue.test", "--seconds", "3000"], stdout=subprocess.PIPE, text=True)
        if out.returncode:
            sys.exit("not all was accepted: " + out.stdout)
        filled = time.monotonic() - began
        print(f"{options.messages} messages for {options.domains} domains accepted in {filled:.0f} s", file=sys.stderr)
        holding, most = settle(relay)
        relay.kill()
        start_dirty = relay.start()  # with the log of the database to be read again
        relay.stop()
        start = relay.start()
        after, most_after = settle(relay)
        state = queued(relay)
        disk = sum(f.stat().st_size for f in relay.data.rglob("*") if f.is_file()) / options.messages
        relay.stop()
        print(f"| figure | {options.messages} messages | empty | target |\n|---|---|---|---|")
        print(f"| resident, while it takes and holds them (most) | {holding:.0f} MiB ({most:.0f} MiB) | {empty:.0f} MiB | < 200 MiB |")
        print(f"| resident, after a restart (most) | {after:.0f} MiB ({most_after:.0f} MiB) | | < 200 MiB |")
        print(f"| memory per queued message, after a restart | {(after - empty) * 2**20 / options.messages:.0f} octets | | |")
        print(f"| start-up, after a clean end | {start:.2f} s | {empty_start:.2f} s | < 2 s |")
        print(f"| start-up, after SIGKILL | {start_dirty:.2f} s | | < 2 s |")
        print(f"| on disk per message of 2 KiB | {disk:.0f} octets | | |")
        print(f"status says: {json.dumps(state)[:300]}", file=sys.stderr)
        met = max(most, most_after) < 200 and max(start, start_dirty) < 2
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
