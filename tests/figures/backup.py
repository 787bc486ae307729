#!/usr/bin/python3
"""Backs a working relay up and restores it by the very commands that the README shows, and sees the mail delivered.
The relay that was backed up takes more mail, is killed, and must have it all.

  tests/figures/backup.py [--build build/release]

The queue holds a small message and one whose body is a file of its own. Exit code 1 when one of them does not come out of
the restored relay, whole and once; 77 without the program sqlite3.
"""
import argparse
import asyncio
import hashlib
import os
import pathlib
import pwd
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import threading

from relay import ROOT, Relay, add_options, free_port, wait_until


def commands(beginning):
    """The README's block of commands that begins so."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return next(block for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.S | re.M) if block.startswith(beginning))


class Server:
    """Takes mail on a port that was refused until now."""

    def __init__(self, port):
        self.came = []
        threading.Thread(target=lambda: asyncio.run(self.serve(port)), daemon=True).start()

    async def serve(self, port):
        server = await asyncio.start_server(self.session, "127.0.0.1", port, limit=1 << 24)
        await server.serve_forever()

    async def session(self, reader, writer):
        writer.write(b"220 mx.backup.test ESMTP\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                body = b""
                while (line := await reader.readline()) != b".\r\n" and line:
                    body += line
                self.came.append(hashlib.sha256(body.partition(b"\r\n\r\n")[2]).hexdigest())
            writer.write(b"250 ok\r\n")
            await writer.drain()
            if word == b"QUIT":
                break
        writer.close()


def submit(relay, body):
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.sendmail("me@sender.test", ["you@backup.test"], f"From: me@sender.test\r\nSubject: kept\r\n\r\n{body}")


def try_it(first, second, folder, port):
    bodies = ["small\r\n", ("x" * 70 + "\r\n") * 20000]
    first.start()
    (first.data / "users").touch()  # as `holdfast init` leaves them
    (first.data / "dkim").mkdir(exist_ok=True)
    for body in bodies:
        submit(first, body)
    wait_until(lambda: [row["state"] for row in first.ask("queue", "list")] == ["deferred"] * 2, "both to wait")
    backup = re.sub(r"^D=.*$", f"D={first.data}", commands("D=/var/lib/holdfast"), flags=re.M)
    subprocess.run(["bash", "-euc", backup], cwd=folder, check=True)
    submit(first, "after the backup\r\n")
    first.kill()
    first.start()
    if (left := len(first.ask("queue", "list"))) != 3:
        print(f"the relay that was backed up has {left} of its 3 messages after a SIGKILL")
        return 1
    first.kill()

    me = pwd.getpwuid(os.getuid()).pw_name
    restore = commands("cp -a backup/.").replace("holdfast:", f"{me}:")
    subprocess.run(["bash", "-euc", f"D={second.data}\n{restore}"], cwd=folder, check=True)
    server = Server(port)
    second.start()
    wait_until(lambda: len(second.ask("queue", "list")) == 2, "the restored queue")
    subprocess.run([second.binary, "queue", "retry", "--all", "--yes", "-c", second.config], check=True,
                   stdout=subprocess.DEVNULL)
    wait_until(lambda: not second.ask("queue", "list"), "an empty queue")
    code = second.stop()
    good = sorted(server.came) == sorted(hashlib.sha256(body.encode()).hexdigest() for body in bodies) and code == 0
    print("both messages came out of the restored relay" if good else f"{len(server.came)} came, exit code {code}")
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    if not shutil.which("sqlite3"):
        print("sqlite3 is not installed: not tried")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        port = free_port()
        routes, settings = {"backup.test": f"127.0.0.1:{port}"}, {"queue.min_free_space": '"0%"', "delivery.retry": '["1h"]'}
        first = Relay(options.build, folder, routes, settings, "first")
        second = Relay(options.build, folder, routes, settings, "second")
        try:
            return try_it(first, second, folder, port)
        finally:
            for relay in (first, second):
                if relay.process and relay.process.poll() is None:
                    relay.kill()


if __name__ == "__main__":
    sys.exit(main())
