"""What soak.py found: each message's end out of the relay's log, what does not hold, and what grows."""
import collections
import json
import threading

from soak_peers import PEERS

SHORTEST_JUDGED = 30 * 60  # seconds; what a shorter run says of memory is warming up
TWICE_IS_LEGAL = ("drop", "hang")  # the server took it, and its 250 was lost (RFC 5321 section 6.1)
BASE = 1_000_000_000  # bench ids from here on go where it fails; each kind has as many of its own


class Accounts(threading.Thread):
    """What the relay's log says became of each message. Whatever has ended is forgotten, but for the few that servers fail."""

    def __init__(self, stream, copy):
        super().__init__(daemon=True)
        self.stream, self.copy = stream, copy
        self.balance = collections.Counter()  # +1 when accepted, -1 for an end; 0 is forgotten
        self.bench = {}  # queue id → bench id
        self.totals = collections.Counter()
        self.ended = collections.defaultdict(set)  # "delivered", … → bench ids, of all but the healthy ones
        self.wrong = []

    def run(self):
        for line in self.stream:
            if b'"event":' not in line or b'"event":"attempt"' in line or b'"event":"deferred"' in line:
                if b'"level":"error"' in line or not line.startswith(b"{"):
                    self.copy.write(line)
                    self.copy.flush()
                continue
            event = json.loads(line)
            kind = event["event"]
            self.totals[kind] += 1
            if kind == "accepted":
                self.bench[event["msg"]] = int(event["message_id"].strip("<>").partition("@")[0])
                self.settle(event["msg"], 1)
            elif kind in ("delivered", "bounced", "expired"):
                if event.get("from") == "":
                    self.totals[f"bounce {kind}"] += 1
                    continue
                self.ended[kind].add(event["msg"])
                self.settle(event["msg"], -1)

    def settle(self, message, change):
        self.balance[message] += change
        if self.balance[message]:
            return
        del self.balance[message]
        bench = self.bench.pop(message)
        for ids in self.ended.values():
            if message in ids:
                ids.discard(message)
                if bench >= BASE:
                    ids.add(bench)


def slope(points):
    """Of a straight line fitted to (x, y)."""
    x0 = sum(x for x, _ in points) / len(points)
    y0 = sum(y for _, y in points) / len(points)
    over = sum((x - x0) ** 2 for x, _ in points)
    return sum((x - x0) * (y - y0) for x, y in points) / over if over else 0.0


def judge(relay, loads, sink, copies, removed, start, memory, options, seconds):
    """What does not hold."""
    wrong, accounts = [], relay.accounts
    taken = {kind: load.taken for kind, load in loads.items()}
    expect = lambda good, text: None if good else wrong.append(text)
    taken["healthy"] += loads["healthy"].unheard
    total = sum(taken.values())
    expect(sum(load.failed for load in loads.values()) == 0, "messages were refused")
    expect(accounts.totals["accepted"] == total, f"{total} were acknowledged, {accounts.totals['accepted']} stand in the log")
    left = {message: count for message, count in accounts.balance.items()}
    expect(set(left) <= removed, f"{len(set(left) - removed)} ended not at all, or twice: {sorted(set(left) - removed)[:5]}")
    expect(sink["distinct"] == taken["healthy"] and sink["duplicates"] == 0,
           f"healthy servers got {sink['distinct']} of {taken['healthy']}, {sink['duplicates']} twice")
    returned = accounts.ended["bounced"] | accounts.ended["expired"]
    expect(set(copies["bounces"]) == returned and max(copies["bounces"].values(), default=1) == 1,
           f"{len(returned)} were returned, and {len(copies['bounces'])} bounces came, "
           f"{sum(n > 1 for n in copies['bounces'].values())} twice")
    for number, kind in enumerate(loads):
        if kind not in PEERS:
            continue
        mine = range(BASE * number, BASE * (number + 1))
        delivered = {bench for bench in accounts.ended["delivered"] if bench in mine}
        got = set(copies[kind])
        expect(delivered <= got, f"{kind}: {len(delivered - got)} recorded as delivered never came")
        if kind not in TWICE_IS_LEGAL:
            expect(got <= delivered and max(copies[kind].values(), default=1) == 1,
                   f"{kind}: {len(got - delivered)} came that are not recorded, {sum(n > 1 for n in copies[kind].values())} twice")
    now = relay.descriptors()
    expect(now <= start, f"{start} descriptors at the beginning, {now} at the end")
    if seconds >= SHORTEST_JUDGED:
        expect(memory <= options.slope, f"memory grows by {memory:.1f} MiB an hour; at most {options.slope} are allowed")
    return wrong
