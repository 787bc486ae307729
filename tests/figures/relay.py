"""A real `holdfast serve` for the programs of this folder: started, killed and asked from outside."""
import json
import os
import pathlib
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLOCK_TICK = os.sysconf("SC_CLK_TCK")


def add_options(parser):
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="where holdfast was built")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not happen within {seconds} s")
        time.sleep(0.01)


def greets(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            return s.recv(3) == b"220"
    except OSError:
        return False


class Relay:
    """`routes`: {recipient pattern: "address:port"}; `settings`: {"section.key": "TOML value"} over the usual."""

    def __init__(self, build, folder, routes, settings=None, name="relay"):
        self.binary = pathlib.Path(build).resolve() / "holdfast"
        self.port = free_port()
        self.data = folder / name
        self.data.mkdir()
        self.config = folder / f"{name}.toml"
        self.log = folder / f"{name}.log"
        sections = {"": {"hostname": '"relay.test"', "data_dir": f'"{self.data}"'},
                    "auth": {"trusted_networks": '["127.0.0.0/8"]'}, "admin": {"http": '""'},
                    "tlsrpt": {"enabled": "false"}, "log": {"format": '"json"'},
                    "dns": {"servers": f'["127.0.0.1:{free_port()}"]', "timeout": '"1s"'}}
        for key, value in (settings or {}).items():
            section, _, key = key.rpartition(".")
            sections.setdefault(section, {})[key] = value
        text = "".join((f"[{section}]\n" if section else "") + "".join(f"{k} = {v}\n" for k, v in keys.items())
                       for section, keys in sections.items())
        text += f'[[listener]]\nbind = "127.0.0.1:{self.port}"\nmode = "trusted"\nmax_connections_per_ip = 1000\n'
        for pattern, at in routes.items():
            text += f'[[route]]\nrecipients = ["{pattern}"]\nvia = ["{at}"]\ntls = "opportunistic"\n'
        self.config.write_text(text)
        self.process = None

    def start(self):
        """Starts it and waits for its greeting; returns how many seconds that took."""
        began = time.monotonic()
        self.process = subprocess.Popen([self.binary, "serve", "-c", self.config], stdout=open(self.log, "a"),
                                        stderr=subprocess.STDOUT)

        def ready():
            if self.process.poll() is not None:
                raise SystemExit("holdfast does not start: " + self.log.read_text()[-1000:])
            return greets(self.port)

        wait_until(ready, "the relay's greeting")
        return time.monotonic() - began

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.look_for_reports()

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.terminate()
        code = self.process.wait(60)
        self.look_for_reports()
        return code

    def look_for_reports(self):
        """A kill hides the exit code that a sanitizer would give."""
        log = self.log.read_text(errors="replace")
        for report in ("WARNING: ThreadSanitizer", "ERROR: AddressSanitizer", "ERROR: LeakSanitizer", ": runtime error: "):
            if report in log:
                raise SystemExit("the relay ended with a sanitizer's report: " + log[log.index(report):][:8000])

    def events(self, *names):
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # cut off by a SIGKILL
            if event.get("event") in names:
                yield event

    def ask(self, *words):
        """JSON lines of a subcommand."""
        out = subprocess.run([self.binary, *words, "--json", "-c", self.config], stdout=subprocess.PIPE, text=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    def memory_mib(self):
        """(resident now, the most so far)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        value = lambda key: int(status.split(key + ":")[1].split()[0]) / 1024
        return value("VmRSS"), value("VmHWM")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICK
