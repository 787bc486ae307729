#!/usr/bin/python3
"""The tour that mta/quickstart and docker/demo take: the relay in the test world, one message to a domain of each kind, and a
table of what became of them. Needs nothing but Python's standard library."""
import argparse
import contextlib
import json
import os
import pathlib
import queue
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

USER, PASSWORD = "app", "correct horse battery"
SENDER = "shop@sender.test"
ENDS = ("delivered", "deferred", "bounced", "expired")
ENDING = {signal.SIGINT, signal.SIGTERM}
PATIENCE = 60  # seconds for each wait; on a working machine all of them together take about two

CONFIG = """\
hostname = "relay.test"
data_dir = "{folder}/data"

[[listener]]
bind = "{listen}"
mode = "submission"

[[user]]
name = "{user}"
password_file = "{folder}/password"
senders = ["@sender.test"]

[admin]
http = ""

[log]
format = "json"

"""


class Trouble(Exception):
    """Something did not go as it must; the text says what."""


@contextlib.contextmanager
def progress(what, total, width=24):
    """Yields what draws a bar on standard error; nothing where that is no terminal."""
    def show(done):
        if sys.stderr.isatty():
            print(f"\r[{'#' * (done * width // total):-<{width}}] {done} of {total} {what}\033[K", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


class Program:
    """A child process whose standard output comes as JSON lines."""

    def __init__(self, name, command, errors):
        self.name = name
        self.lines = queue.Queue()
        self.errors = errors
        with open(errors, "wb") as sink:
            # In a session of its own: Ctrl-C is for us, who then end it.
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink,
                                            start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with open(f"{self.errors}.out", "wb") as copy:
            for line in self.process.stdout:
                copy.write(line)
                copy.flush()
                with contextlib.suppress(ValueError):
                    value = json.loads(line)
                    if isinstance(value, dict):
                        self.lines.put(value)
        self.lines.put(None)

    def next_line(self, deadline):
        """The next line; raises Trouble when the program ends or time runs out."""
        try:
            line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise Trouble(f"{self.name} took too long.\n{self.last_words()}") from None
        if line is None:
            raise Trouble(f"{self.name} ended unexpectedly (exit code {self.process.wait()}).\n{self.last_words()}")
        return line

    def last_words(self):
        words = []
        for path in (f"{self.errors}.out", self.errors):
            words += pathlib.Path(path).read_text(errors="replace").splitlines()[-12:]
        return "\n".join("  " + word[:300] for word in words)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Relay(Program):
    def __init__(self, binary, config, errors):
        super().__init__("The relay", [binary, "serve", "-c", config], errors)
        self.command = [binary]
        self.config = config

    def wait_until_it_listens(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            line = self.next_line(deadline)
            if line.get("text") == "listening" and line.get("mode") == "submission":
                host, _, port = (line.get("bind") or line["address"]).rpartition(":")
                return host, int(port)

    def wait_for_ends(self, recipients):
        """The first log line that says what became of each recipient."""
        ends, deadline = {}, time.monotonic() + PATIENCE
        with progress("messages", len(recipients)) as show:
            while len(ends) < len(recipients):
                show(len(ends))
                line = self.next_line(deadline)
                if line.get("event") in ENDS and line.get("to") in recipients:
                    ends.setdefault(line["to"], line)
        return ends

    def ask(self, *arguments):
        """The JSON lines of a subcommand."""
        done = subprocess.run([*self.command, *arguments, "--json", "-c", self.config], capture_output=True, text=True)
        if done.returncode not in (0, 1):  # 1: the answer is no
            raise Trouble(f"holdfast {' '.join(arguments)} failed: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def reports(self, domains):
        """Today's TLS reports by domain. The ledger is durable within a second, so this asks until all are there."""
        deadline = time.monotonic() + 10
        while True:
            reports = {line["domain"]: line["report"] for line in self.ask("tlsrpt", "preview", "--day", "today")}
            if all(domain in reports for domain in domains) or time.monotonic() > deadline:
                return reports
            time.sleep(0.1)


def submit(address, recipients):
    """Submits a message to each over STARTTLS with a password, as an application does."""
    context = ssl.create_default_context()
    context.check_hostname = False  # the relay made its certificate itself a moment ago
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP(*address, timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        smtp.login(USER, PASSWORD)
        for recipient in recipients:
            smtp.sendmail(SENDER, [recipient], (
                f"From: The Shop <{SENDER}>\r\nTo: {recipient}\r\nSubject: Your order\r\n\r\n"
                "It is on its way.\r\n").encode())


def tls_text(end):
    tls = end.get("tls") or {}
    if end["event"] != "delivered":
        return "-"
    if not tls.get("version"):
        return "none"
    verified = tls.get("mode") == "enforce" and tls.get("result") == "successful"
    return tls["version"] + (", verified" if verified else "")


def why_text(end):
    if end["event"] == "delivered":
        words = end.get("reply", "")
    else:
        words = " ".join(filter(None, (end.get("enhanced", ""), end.get("reply", ""))))
    return words.strip() or "-"


def report_text(report):
    """One line per policy of the report: what was counted, and as which failure."""
    lines = []
    for entry in (report or {}).get("policies", []):
        summary = entry["summary"]
        good, bad = summary["total-successful-session-count"], summary["total-failure-session-count"]
        kinds = sorted({detail["result-type"] for detail in entry.get("failure-details", [])})
        text = f"{entry['policy']['policy-type']}: {good} ok, {bad} failed"
        lines.append(text + (f" ({', '.join(kinds)})" if kinds else ""))
    return "\n".join(lines) or "-"


def paint(text, color):
    return f"\033[{color}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def print_table(heads, rows):
    """Columns as wide as they need, the one for the reason and the one for the report share what is left."""
    room = max(100, shutil.get_terminal_size((118, 24)).columns)
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    left = room - sum(widths[:4]) - 2 * (len(heads) - 1)
    widths[5] = min(widths[5], left * 2 // 5)
    widths[4] = min(widths[4], left - widths[5])
    colors = {"delivered": "32", "deferred": "33", "bounced": "31", "expired": "31"}
    print(paint("  ".join(head.ljust(width) for head, width in zip(heads, widths)).rstrip(), "1"))
    print("  ".join("-" * width for width in widths))
    for row in rows:
        cells = [[part for line in cell.splitlines() for part in textwrap.wrap(line, width) or [""]]
                 for cell, width in zip(row, widths)]
        for number in range(max(map(len, cells))):
            parts = [(cell[number] if number < len(cell) else "").ljust(width) for cell, width in zip(cells, widths)]
            parts[2] = paint(parts[2], colors.get(parts[2].strip(), "0"))
            print("  ".join(parts).rstrip())


def show(relay, domains, ends):
    reports = relay.reports([domain["name"] for domain in domains])
    rows = []
    for domain in domains:
        end = ends[f"info@{domain['name']}"]
        rows.append([domain["name"], "none" if domain["policy"] == "none published" else domain["policy"], end["event"],
                     tls_text(end), f"{domain['about']}:\n{why_text(end)}", report_text(reports.get(domain["name"]))])
    print()
    print_table(["domain", "policy", "result", "over TLS", "why", "TLS-RPT"], rows)
    print()
    return [domain["name"] for domain in domains
            if (ends[f"info@{domain['name']}"]["event"] == "delivered") != domain["delivered"]]


def keep_running(address, folder, binary, config):
    host, port = address
    print(f"""The relay keeps running; Ctrl-C ends it. Submit to it, for instance to enforce.test or stripped.test:

  curl --ssl-reqd -k smtp://{host}:{port} --user '{USER}:{PASSWORD}' --mail-from {SENDER} \\
       --mail-rcpt you@enforce.test -T - <<< $'Subject: hello\\n\\nworld'
  swaks --server {host}:{port} -tls -au {USER} -ap '{PASSWORD}' -f {SENDER} -t you@stripped.test

Watch it:

  {binary} queue list -c {config}
  {binary} tlsrpt preview --day today -c {config}
  tail -f {folder}/relay.err.out        # its log
  ls {folder}/mailbox                   # what arrived
""", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    signal.sigwait(ENDING)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def say(text):
    print(paint(text, "2") if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


def tour(arguments, folder, cleanup):
    say("Starting a small internet on loopback: DNS, policy hosts, mail exchangers, a man in the middle.")
    world = Program("The test world", [arguments.world, "--json", "--control", "--mailbox", f"{folder}/mailbox"],
                    f"{folder}/world.err")
    cleanup.callback(world.end)
    ready = world.next_line(time.monotonic() + PATIENCE)

    pathlib.Path(folder, "password").write_text(PASSWORD + "\n")
    pathlib.Path(folder, "password").chmod(0o600)
    pathlib.Path(folder, "data").mkdir()
    config = f"{folder}/holdfast.toml"
    pathlib.Path(config).write_text(CONFIG.format(folder=folder, user=USER, listen=arguments.listen) + ready["relay_config"])

    say("Starting the relay in it, with its queue on disk.")
    relay = Relay(arguments.holdfast, config, f"{folder}/relay.err")
    cleanup.callback(relay.end)
    address = relay.wait_until_it_listens()

    domains = [domain for domain in ready["domains"] if domain["tour"]]
    recipients = [f"info@{domain['name']}" for domain in domains]
    say(f"Submitting {len(recipients)} messages on {address[0]}:{address[1]} and waiting for what becomes of them.")
    submit(address, recipients)
    surprises = show(relay, domains, relay.wait_for_ends(set(recipients)))
    if arguments.keep:
        keep_running(address, folder, arguments.holdfast, config)
    if surprises:
        raise Trouble(f"This is not what should have happened for: {', '.join(surprises)}.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--holdfast", required=True, type=os.path.abspath)
    parser.add_argument("--world", required=True, type=os.path.abspath)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDRESS:PORT", help="where the relay takes mail")
    arguments = parser.parse_args()
    for number in ENDING:
        signal.signal(number, lambda *_: sys.exit(130))  # by way of the clean-up below
    with tempfile.TemporaryDirectory(prefix="holdfast-quickstart-") as folder, contextlib.ExitStack() as cleanup:
        try:
            tour(arguments, folder, cleanup)
        except (Trouble, smtplib.SMTPException, OSError) as trouble:
            print(f"quickstart: {trouble}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
