#!/usr/bin/python3
"""Holdfast and Postfix side by side: the same load, the same sink, in turn, on this machine.

  tests/bench/compare.py [--case clear|tls|…] [--rounds 3] [--messages N] [--only holdfast|postfix] [--build build/release]

Prints a Markdown table of medians and of the ratio. Needs root for Postfix (it runs from a private directory; a Postfix
that is configured on this machine is not touched). Everything stays on 127.0.0.1 and ends with this program.
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = {
    # name: (TLS on both sides, octets of a message, messages)
    "clear": (False, 2048, 20000),
    "tls": (True, 2048, 10000),
    "tls-50k": (True, 50 * 1024, 3000),
    "tls-1m": (True, 1024 * 1024, 300),
}
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            return s.recv(3) == b"220"
    except OSError:
        return False


def stat_of(pid):
    """(parent, own ticks, ticks of ended children) of a process."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def cpu_seconds(root_pid):
    """CPU of a process, its ended children, and its living children with theirs."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := stat_of(entry)):
            if int(entry) == root_pid or stat[0] == root_pid:
                total += stat[1] + stat[2]
    return total / TICK


def resident_kib(root_pid):
    """Proportional set size of a process and its children."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (int(entry) == root_pid or (stat := stat_of(entry)) and stat[0] == root_pid):
            try:
                text = pathlib.Path(f"/proc/{entry}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total


def certificate(folder):
    """A CA and a certificate for sink.bench and relay.bench signed by it."""
    run = lambda *a: subprocess.run(a, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench CA")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
        "-out", "leaf.csr", "-subj", "/CN=bench")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,DNS:sink.bench,DNS:relay.bench\n")
    run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "30", "-extfile", "ext", "-out", "cert.pem")


class Sink:
    def __init__(self, build, folder, tls, expect, *extra):
        tls_args = ["--certificate", folder / "cert.pem", "--key", folder / "key.pem"] if tls else []
        self.process = subprocess.Popen([build / "tests/smtp_sink", "--expect", str(expect), *tls_args, *extra],
                                        stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def result(self, seconds=300):
        try:
            out, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            out, _ = self.process.communicate()
        return json.loads(out.splitlines()[-1])


class Holdfast:
    name = "holdfast"

    def __init__(self, build, folder, sink_port, tls):
        self.port = free_port()
        data = folder / "holdfast"
        data.mkdir()
        config = folder / "holdfast.toml"
        config.write_text(f'''
hostname = "relay.bench"
data_dir = "{data}"
[[listener]]
bind = "127.0.0.1:{self.port}"
mode = "trusted"
max_connections_per_ip = 1000
[tls]
certificate = "{folder}/cert.pem"
private_key = "{folder}/key.pem"
[trust]
ca_file = "{folder}/ca.pem"
[auth]
trusted_networks = ["127.0.0.0/8"]
[[route]]
recipients = ["*"]
via = ["localhost:{sink_port}"]
tls = "{'required' if tls else 'opportunistic'}"
[admin]
http = ""
[tlsrpt]
enabled = false
[log]
level = "warning"
''')
        self.process = subprocess.Popen([build / "holdfast", "serve", "-c", config], stdout=open(folder / "holdfast.log", "w"))
        wait_until(lambda: answers(self.port), "the relay's greeting")
        self.pid = self.process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Postfix:
    """Debian's Postfix as a smarthost: defaults, connection reuse also under TLS, no per-client limits."""
    name = "postfix"

    def __init__(self, build, folder, sink_port, tls):
        self.port = free_port()
        self.folder = folder / "postfix"
        for part in ("etc", "spool", "data"):
            (self.folder / part).mkdir(parents=True)
        folder.chmod(0o755)
        shutil.chown(self.folder / "data", "postfix", "postfix")
        (self.folder / "etc/main.cf").write_text(f'''
compatibility_level = 3.6
queue_directory = {self.folder}/spool
data_directory = {self.folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {self.folder}/data/mail.log
maillog_file_prefixes = {self.folder}
myhostname = postfix.bench
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{sink_port}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtp_tls_security_level = {'encrypt' if tls else 'none'}
smtp_tls_connection_reuse = yes
smtpd_tls_security_level = {'may' if tls else 'none'}
smtpd_tls_cert_file = {folder}/cert.pem
smtpd_tls_key_file = {folder}/key.pem
''')
        services = []
        for line in pathlib.Path("/etc/postfix/master.cf.proto" if os.path.exists("/etc/postfix/master.cf.proto")
                                 else "/usr/share/postfix/master.cf.dist").read_text().splitlines():
            fields = line.split()
            if len(fields) >= 8 and not line.startswith(("#", " ")):
                if fields[0] == "smtp" and fields[1] == "inet":
                    line = f"127.0.0.1:{self.port} inet n - n - - smtpd"
                else:
                    fields[4] = "n"
                    line = " ".join(fields)
            services.append(line)
        (self.folder / "etc/master.cf").write_text("\n".join(services) + "\n")
        self.command("start")
        wait_until(lambda: answers(self.port), "Postfix's greeting")
        self.pid = int((self.folder / "spool/pid/master.pid").read_text())

    def command(self, word):
        subprocess.run(["postfix", "-c", self.folder / "etc", word], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def stop(self):
        self.command("stop")
        wait_until(lambda: stat_of(self.pid) is None, "Postfix's end")


def measure(server, build, case, messages):
    tls, size, default_messages = CASES[case]
    messages = messages or default_messages
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = pathlib.Path(name)
        certificate(folder)
        sink = Sink(build, folder, tls, messages)
        relay = server(build, folder, sink.port, tls)
        try:
            before, start = cpu_seconds(relay.pid), time.monotonic()
            load = subprocess.run([build / "tests/smtp_load", "--port", str(relay.port), "--messages", str(messages),
                                   "--size", str(size), *(["--tls"] if tls else [])], stdout=subprocess.PIPE, text=True)
            accepted = json.loads(load.stdout)
            sunk = sink.result()
            took = time.monotonic() - start
            cpu = cpu_seconds(relay.pid) - before
            pss = resident_kib(relay.pid)
        finally:
            relay.stop()
            if sink.process.poll() is None:
                sink.process.terminate()
                sink.process.wait()
        if sunk["distinct"] != messages:
            print(f"{server.name} {case}: only {sunk['distinct']} of {messages} arrived", file=sys.stderr)
        return {"per_second": sunk["distinct"] / took, "cpu_ms": cpu * 1000 / messages, "p50_ms": accepted["p50_ms"],
                "p99_ms": accepted["p99_ms"], "accepted_per_second": accepted["per_second"], "pss_mib": pss / 1024,
                "duplicates": sunk["duplicates"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int)
    parser.add_argument("--only", choices=["holdfast", "postfix"])
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    servers = [s for s in (Holdfast, Postfix) if options.only in (None, s.name)]
    build = options.build.resolve()
    print("| case | relay | msg/s | CPU ms/msg | accept p50 ms | accept p99 ms | PSS MiB |\n|---|---|---|---|---|---|---|")
    for case in options.case or CASES:
        rounds = {server: [] for server in servers}
        for _ in range(options.rounds):
            for server in servers:
                rounds[server].append(measure(server, build, case, options.messages))
        middle = {}
        for server in servers:
            figures = {key: sorted(r[key] for r in rounds[server]) for key in rounds[server][0]}
            middle[server] = {key: statistics.median(values) for key, values in figures.items()}
            spread = lambda key, digits: f"{figures[key][0]:.{digits}f} / {middle[server][key]:.{digits}f} / {figures[key][-1]:.{digits}f}"
            print(f"| {case} | {server.name} | {spread('per_second', 0)} | {spread('cpu_ms', 3)} | {spread('p50_ms', 2)} | "
                  f"{spread('p99_ms', 1)} | {spread('pss_mib', 0)} |", flush=True)
        if len(servers) == 2:
            ours, theirs = middle[Holdfast], middle[Postfix]
            print(f"| {case} | ratio | {ours['per_second'] / theirs['per_second']:.1f}× | "
                  f"1/{theirs['cpu_ms'] / ours['cpu_ms']:.1f} | {ours['p50_ms'] / theirs['p50_ms']:.2f} | "
                  f"1/{theirs['p99_ms'] / ours['p99_ms']:.1f} | {ours['pss_mib'] / theirs['pss_mib']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
