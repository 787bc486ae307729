#!/usr/bin/python3
"""SIGKILLs at random moments under load: nothing acknowledged is lost, nothing recorded as delivered is sent again.

  tests/figures/kills.py [--kills 50] [--seed N] [--power-cut] [--build build/release]

Clients submit all the time; servers take, delay, refuse for now or refuse for good. The relay is killed and started
again on what the disk holds. Before each start its database is read: what it records as ended must never be sent again.
A copy too many is allowed only where the process was killed between the server's 250 and our record of it (invariant
8); those are counted. With --power-cut (root, loop devices) its data is on an ext4 of its own, which loses its power
instead, and it is killed a moment later. What it acknowledges in that moment does not count: with the power gone nobody
would have heard it, and ext4 calls a sync good that was under way when it was shut down. Exit code 1 when a promise is
broken, 77 where --power-cut does not work.
"""
import argparse
import asyncio
import collections
import contextlib
import email
import hashlib
import pathlib
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import time

from relay import ROOT, Relay, add_options, wait_until

sys.path.append(str(ROOT / "tests/power_cut"))
import loop_disk

DELIVERED, BOUNCED, EXPIRED = 2, 3, 4  # RecipientState in queue/store.h, as the database has it
ADDRESS = re.compile(rb"([a-z]+[0-9]+).([a-z]+\.kill\.test)", re.DOTALL)  # an octet of length between the two


class Server:
    """Takes mail like an MX, and knows when each copy came, and from which life of the relay."""

    def __init__(self, dice):
        self.dice = dice
        self.life = 0
        self.copies = collections.defaultdict(list)  # address → (life, time) of our 250
        self.told = collections.defaultdict(list)  # address → the same, of a bounce that names it
        self.damaged = 0
        self.open = 0

    async def start(self):
        self.server = await asyncio.start_server(self.session, "127.0.0.1", 0, limit=1 << 20)
        self.port = self.server.sockets[0].getsockname()[1]

    async def session(self, reader, writer):
        self.open += 1
        try:
            await self.converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the relay was killed
        finally:
            self.open -= 1
            writer.close()

    async def next_life(self):
        """After a kill: what the dead one had sent is read to its end."""
        while self.open:
            await asyncio.sleep(0.01)
        self.life += 1

    async def converse(self, reader, writer):
        def say(text):
            writer.write(text.encode() + b"\r\n")

        say("220 mx.kill.test ESMTP")
        recipients, chunks = [], b""
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"EHLO":
                say("250-mx.kill.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING")
            elif word == b"MAIL":
                recipients, chunks = [], b""
                say("250 2.1.0 ok")
            elif word == b"RCPT":
                address = line.split(b"<")[1].split(b">")[0].decode()
                if address.startswith("no"):
                    say("550 5.1.1 no such user")
                elif self.dice.random() < 0.05:
                    say("451 4.3.0 later")
                else:
                    recipients.append(address)
                    say("250 2.1.5 ok")
            elif word == b"DATA":
                if not recipients:
                    say("554 5.5.1 no valid recipients")
                    continue
                say("354 go on")
                await writer.drain()
                content = b""
                while (line := await reader.readline()) != b".\r\n":
                    if not line:
                        return
                    content += line[1:] if line.startswith(b".") else line
                await self.take(recipients, content, say)
            elif word == b"BDAT":
                size = line.split()
                chunks += await reader.readexactly(int(size[1]))
                if len(size) > 2:
                    if recipients:
                        await self.take(recipients, chunks, say)
                    else:
                        say("554 5.5.1 no valid recipients")
                else:
                    say("250 2.0.0 ok")
            elif word == b"QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")
            await writer.drain()

    async def take(self, recipients, content, say):
        await asyncio.sleep(self.dice.choice((0, 0, 0.002, 0.02)))
        head, _, body = content.partition(b"\r\n\r\n")
        if b"delivery-status" in head:
            for address in re.findall(rb"Final-Recipient: rfc822; (\S+)", content):
                self.told[address.decode()].append((self.life, time.monotonic()))
        else:
            wanted = email.message_from_bytes(head)["X-Sum"]
            self.damaged += hashlib.sha256(body).hexdigest() != wanted
            for address in recipients:
                self.copies[address].append((self.life, time.monotonic()))
        say("250 2.0.0 taken")


class Clients:
    """Submit all the time, reconnect when the relay is gone, and remember what was acknowledged."""

    def __init__(self, relay, dice):
        self.relay, self.dice = relay, dice
        self.acknowledged = {}  # address → time
        self.offered = 0
        self.number = 0
        self.over = False
        self.unheard = False  # the power is gone, and with it, but for our trick, the relay

    def message(self):
        size = self.dice.choice((200, 1000, 3000, 20000))  # the last goes to a file of its own
        line = bytes(self.dice.choices(b"abcdefghij .", k=70)) + b"\r\n"
        body = line * max(1, size // len(line))
        self.number += 1
        kinds = self.dice.choices(("user", "no"), (9, 1), k=self.dice.randint(1, 3))
        to = [f"{kind}{self.number}{i}@{self.dice.choice('ab')}.kill.test" for i, kind in enumerate(kinds)]
        head = (f"From: shop@sender.kill.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{self.number}@kill>\r\n"
                f"X-Sum: {hashlib.sha256(body).hexdigest()}\r\n\r\n")
        return to, head.encode() + body

    async def one(self):
        while not self.over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.relay.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            try:
                await self.talk(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, EOFError):
                pass
            writer.close()

    async def talk(self, reader, writer):
        async def reply():
            while True:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    raise EOFError
                if line[3:4] != b"-":
                    return line

        await reply()
        writer.write(b"EHLO client.test\r\n")
        await reply()
        for _ in range(20):
            if self.over:
                return
            to, content = self.message()
            self.offered += len(to)
            writer.write(b"MAIL FROM:<shop@sender.kill.test>\r\n" + b"".join(b"RCPT TO:<%s>\r\n" % a.encode() for a in to) +
                         b"DATA\r\n")
            for _ in range(len(to) + 2):
                answer = await reply()
            if not answer.startswith(b"354"):
                return
            writer.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            await writer.drain()
            if (await reply()).startswith(b"250") and not self.unheard:
                for address in to:
                    self.acknowledged[address] = time.monotonic()


def ended_on_disk(data, folder):
    """What the database records as delivered, and as failed, read from a copy as recovery will see it."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in data.glob("queue.db*"):
        shutil.copy(file, copy)
    database = sqlite3.connect(copy / "queue.db")
    ended = {DELIVERED: set(), BOUNCED: set(), EXPIRED: set()}
    for address, state in database.execute("SELECT address, state FROM recipient WHERE state IN (2, 3, 4)"):
        if found := ADDRESS.search(address):
            ended[state].add(b"@".join(found.groups()).decode())
    integrity = database.execute("PRAGMA integrity_check").fetchone()[0]
    database.close()
    return ended[DELIVERED], ended[BOUNCED] | ended[EXPIRED], integrity


async def run(options):
    dice = random.Random(options.seed)
    began = time.monotonic()
    wrong = collections.Counter()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as held:
        folder = pathlib.Path(name)
        server = Server(dice)
        await server.start()
        settings = {"delivery.retry": '["1s"]', "delivery.tls": '"opportunistic"', "queue.inline_limit": '"8KiB"',
                    "queue.min_free_space": '"0%"'}
        disk = None
        if options.power_cut:
            if why := loop_disk.works(folder):
                print(f"skipped: {why}")
                sys.exit(77)
            (folder / "loop").mkdir()
            disk = held.enter_context(loop_disk.LoopDisk(folder / "loop", 512 << 20))
            settings["data_dir"] = f'"{disk.at / "data"}"'
        relay = Relay(options.build, folder, {"*": f"127.0.0.1:{server.port}"}, settings)
        if disk:
            relay.data = disk.at / "data"
            held.callback(lambda: relay.kill() if relay.process and relay.process.poll() is None else None)
        loop = asyncio.get_running_loop()
        start = lambda: loop.run_in_executor(None, relay.start)
        clients = Clients(relay, dice)
        await start()
        sessions = [asyncio.create_task(clients.one()) for _ in range(options.connections)]
        recorded, failed, kills, doubles = {}, {}, [], 0
        for kill in range(options.kills):
            await asyncio.sleep(dice.uniform(0.05, options.life))
            if disk:
                clients.unheard = True
                disk.cut(dice.choice((loop_disk.NO_LOG_FLUSH, loop_disk.LOG_FLUSH)))
                await asyncio.sleep(dice.uniform(0, 0.3))
            relay.kill()
            kills.append(time.monotonic())
            await server.next_life()
            if disk:
                found = disk.power_on()
                wrong["file system damaged"] += bool(found)
            delivered, bounced, integrity = ended_on_disk(relay.data, folder)
            wrong["database damaged"] += integrity != "ok"
            for address in delivered:
                recorded.setdefault(address, kill)
            for address in bounced:
                failed.setdefault(address, kill)
            wrong["recorded, and forgotten by a later recovery"] += len((set(recorded) - delivered) | (set(failed) - bounced))
            await start()
            clients.unheard = False
            print(f"kill {kill + 1}: {len(clients.acknowledged)} acknowledged, {len(recorded)} recorded as delivered",
                  file=sys.stderr, flush=True)
        clients.over = True
        for session in sessions:
            try:
                await asyncio.wait_for(session, 10)
            except asyncio.TimeoutError:
                pass

        def drained():
            return not relay.ask("queue", "list")

        await loop.run_in_executor(None, lambda: wait_until(drained, "the end of the queue", 300))
        code = await loop.run_in_executor(None, relay.stop)
        files = [f for f in relay.data.glob("bodies/**/*") if f.is_file()]
        server.server.close()

        to_be_delivered = {a for a in clients.acknowledged if a.startswith("user")}
        to_fail = set(clients.acknowledged) - to_be_delivered
        wrong["acknowledged and lost"] = len(to_be_delivered - set(server.copies))
        wrong["acknowledged, failed, and never told"] = len(to_fail - set(server.told))
        wrong["damaged on the way"] = server.damaged
        wrong["body files left behind"] = len(files)
        wrong["exit code of SIGTERM"] = int(code != 0)
        latest = 0.0
        for seen in (server.copies, server.told):
            for address, times in seen.items():
                if any(life > recorded.get(address, options.kills) for life, _ in times):
                    wrong["recorded as delivered and sent again"] += 1
                # Each copy but the last must have been the last act of a life: its record was lost with the process.
                for (life, at), (next_life, again) in zip(times, times[1:]):
                    if life == next_life:
                        wrong["sent twice in one life"] += 1
                        print(f"{address}: twice within {again - at:.3f} s", file=sys.stderr)
                    else:
                        doubles += 1
                        latest = max(latest, kills[life] - at)
        copies = sum(map(len, server.copies.values())) + sum(map(len, server.told.values()))
        unacknowledged = len(set(server.copies) - set(clients.acknowledged))
        print(f"{options.kills} {'power cuts' if disk else 'SIGKILLs'} in {time.monotonic() - began:.0f} s, seed {options.seed}: {clients.offered} recipients offered, "
              f"{len(clients.acknowledged)} acknowledged, {copies} copies taken ({unacknowledged} of mail whose 250 the client never saw)")
        print(f"lost: {wrong['acknowledged and lost']}; sent again after it was recorded: {wrong['recorded as delivered and sent again']}; "
              f"copies too many from the one window between 250 and record: {doubles} "
              f"(at most {latest * 1000:.0f} ms before the kill)")
        for what, count in wrong.items():
            if count:
                print(f"BROKEN: {what}: {count}")
        if sum(wrong.values()) and options.keep:
            shutil.copytree(folder, options.keep, dirs_exist_ok=True)
    return sum(wrong.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--power-cut", action="store_true", help="cut the disk's power instead; needs root and loop devices")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--life", type=float, default=2.5, help="the longest that it lives, in seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--keep", help="copy log and data there when something is wrong")
    options = parser.parse_args()
    if options.power_cut:
        loop_disk.own_mounts()
    sys.exit(1 if asyncio.run(run(options)) else 0)


if __name__ == "__main__":
    main()
