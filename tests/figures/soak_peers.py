"""The servers of soak.py that fail."""
import asyncio
import collections
import multiprocessing
import random
import re

PEERS = {"later": "127.0.1.1", "never": "127.0.1.2", "drop": "127.0.1.3", "hang": "127.0.1.4", "badtls": "127.0.1.5"}
BOUNCES = "127.0.1.9"


class Peers(multiprocessing.Process):
    """The servers that fail, and the one that takes the bounces; a process of its own."""

    def __init__(self, seed):
        super().__init__(daemon=True)
        self.dice = random.Random(seed)
        self.healthy = multiprocessing.Event()
        self.ours, self.theirs = multiprocessing.Pipe()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        self.ids = {kind: collections.Counter() for kind in (*PEERS, "bounces")}
        self.open = set()
        ports, servers = {}, []
        for kind, address in {**PEERS, "bounces": BOUNCES}.items():
            server = await asyncio.start_server(lambda r, w, kind=kind: self.session(kind, r, w), address, 0, limit=1 << 20)
            servers.append(server)
            ports[kind] = f"{address}:{server.sockets[0].getsockname()[1]}"
        self.theirs.send(ports)
        told = False
        while not self.theirs.poll():
            await asyncio.sleep(0.2)
            if self.healthy.is_set() and not told:
                told = True
                for writer in list(self.open):
                    writer.close()  # those that hang
        self.theirs.send({kind: dict(counter) for kind, counter in self.ids.items()})

    def fails(self, share):
        return not self.healthy.is_set() and self.dice.random() < share

    async def session(self, kind, reader, writer):
        self.open.add(writer)
        try:
            await self.converse(kind, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def converse(self, kind, reader, writer):
        def say(text):
            writer.write(text.encode() + b"\r\n")

        async def trouble():
            """Does the connection end here?"""
            if kind == "drop" and self.fails(0.04):
                return True
            if kind == "hang" and self.fails(0.005):
                while not self.healthy.is_set() and not reader.at_eof():
                    await asyncio.sleep(1)
                return True
            return False

        if await trouble():
            return
        say("220 mx.soak.test ESMTP")
        accepted = 0
        while line := await reader.readline():
            if await trouble():
                return
            word = line[:4].upper()
            if word == b"EHLO":
                say("250-mx.soak.test\r\n250-PIPELINING" + ("\r\n250-STARTTLS" if kind == "badtls" else "") +
                    "\r\n250 ENHANCEDSTATUSCODES")
            elif word == b"STAR":
                say("220 2.0.0 go ahead")
                await writer.drain()
                await reader.read(100)
                if self.dice.random() < 0.5:
                    writer.write(bytes(self.dice.randrange(256) for _ in range(200)))
                return
            elif word == b"MAIL":
                accepted = 0
                say("250 2.1.0 ok")
            elif word == b"RCPT":
                if kind == "later" and self.fails(0.6):
                    say("451 4.3.0 come again")
                elif kind == "never" and self.fails(0.5):
                    say("550 5.1.1 no such user")
                else:
                    accepted += 1
                    say("250 2.1.5 ok")
            elif word == b"DATA":
                if not accepted:
                    say("554 5.5.1 no valid recipients")
                    continue
                say("354 go on")
                await writer.drain()
                content = b""
                while (line := await reader.readline()) != b".\r\n":
                    if not line:
                        return
                    content += line
                found = re.search(rb"^X-Bench-Id: (\d+)", content, re.M)
                if found:
                    self.ids[kind][int(found[1])] += 1
                if await trouble():
                    return
                say("250 2.0.0 taken")
            elif word == b"QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")
            await writer.drain()
