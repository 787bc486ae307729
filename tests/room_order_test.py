#!/usr/bin/python3
"""Fails when a room includes one that stands after it: config, smtp, sts, tlsrpt, queue, mta.

Inside smtp the sub-rooms have an order of their own; message_sink.h stands before client and server.
"""
import pathlib
import re
import sys

ORDER = ["config", "smtp/base", "smtp/dns", "smtp/tls", "smtp/wire", "smtp/", "smtp/client", "smtp/server",
         "sts", "tlsrpt", "queue", "mta"]
SIBLINGS = {("smtp/server", "smtp/client")}  # neither side of SMTP knows the other


def room_of(path):
    parts = path.split("/")
    if parts[0] == "smtp":
        return "smtp/" + parts[1] if len(parts) > 2 else "smtp/"
    return parts[0]


def check(root):
    """Returns one line per include that breaks the order."""
    wrong = []
    for room in ("config", "smtp", "sts", "tlsrpt", "queue", "mta"):
        for file in sorted([*(root / room).rglob("*.h"), *(root / room).rglob("*.cc")]):
            name = file.relative_to(root).as_posix()
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = re.match(r'\s*#include\s+"([^"]+)"', line)
                if not match:
                    continue
                if not (root / match[1]).is_file():
                    wrong.append(f"{name}:{number}: {match[1]} is not included from the root")
                    continue
                here, there = room_of(name), room_of(match[1])
                if there not in ORDER or ORDER.index(there) > ORDER.index(here) or (here, there) in SIBLINGS:
                    wrong.append(f"{name}:{number}: {here} may not include {match[1]}")
    return wrong


def self_test():
    """The check must be able to fail."""
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for file, text in {"config/a.h": '#include "queue/b.h"\n', "queue/b.h": '#include "config/a.h"\n'}.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(text)
        assert check(root) == ["config/a.h:1: config may not include queue/b.h"], check(root)


if __name__ == "__main__":
    self_test()
    problems = check(pathlib.Path(sys.argv[1]))
    print("\n".join(problems) or "every include follows the order of the rooms")
    sys.exit(1 if problems else 0)
