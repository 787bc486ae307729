"""A relay for the programs that look at its submission side, and a client that does one thing at a time."""
import base64
import os
import resource
import socket
import ssl
import subprocess

from machine import answers, free_port, wait_until

USER, PASSWORD = "app", "correct horse battery"


def all_descriptors():
    """Thousands of sockets need more descriptors than a shell gives; the relay raises its own limit by itself."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Relay:
    """`holdfast serve` in a folder of its own: one user, no lock-out, everything delivered to `sink_port`."""

    def __init__(self, build, folder, sink_port, idle_timeout="30m", cache="5m"):
        self.port, self.hasty_port = free_port(), free_port()
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o600)
        config = folder / "holdfast.toml"
        config.write_text(f'''
hostname = "relay.bench"
data_dir = "{folder}/data"
[[listener]]
bind = "127.0.0.1:{self.port}"
mode = "submission"
max_connections = 20000
max_connections_per_ip = 300
idle_timeout = "{idle_timeout}"
[[listener]]
bind = "127.0.0.1:{self.hasty_port}"
mode = "submission"
idle_timeout = "30s"
[auth]
max_failures = ""
cache = "{cache}"
unusual_volume = 0
[delivery]
connections_per_mx = 20
[admin]
http = ""
[tlsrpt]
enabled = false
[log]
level = "error"
[[user]]
name = "{USER}"
password_file = "{folder}/password"
senders = ["*"]
[[route]]
recipients = ["*"]
via = ["localhost:{sink_port}"]
''')
        self.log = folder / "relay.log"
        self.process = subprocess.Popen([build / "holdfast", "serve", "-c", config], stdout=open(self.log, "w"),
                                        stderr=subprocess.STDOUT)
        wait_until(self.ready, "the relay's greeting")

    def ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("holdfast does not start: " + self.log.read_text()[-500:])
        return answers(self.port) and answers(self.hasty_port)

    def resident(self):
        """Octets of memory in RAM."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False  # the programs measure; who the relay is, is not their question
CONTEXT.verify_mode = ssl.CERT_NONE


def source_address(number):
    """One of 127.16.0.1 to 127.255.255.254; each counts as a client of its own."""
    number += 1
    return f"127.{16 + (number // 62500) % 240}.{(number // 250) % 250}.{number % 250 + 1}"


class Client:
    def __init__(self, port, source="127.0.0.1", timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.reply()

    def reply(self):
        """The last line of the next reply; "" when the connection is over."""
        while True:
            while b"\r\n" not in self.rest:
                octets = self.socket.recv(4096)
                if not octets:
                    return ""
                self.rest += octets
            line, self.rest = self.rest.split(b"\r\n", 1)
            if line[3:4] != b"-":
                return line.decode()

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def ask(self, line):
        self.say(line)
        return self.reply()

    def secure(self):
        self.ask("EHLO client.bench")
        self.ask("STARTTLS")
        self.socket = CONTEXT.wrap_socket(self.socket)
        self.ask("EHLO client.bench")
        return self

    @staticmethod
    def plain(user, password):
        return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()

    def log_in(self, user=USER, password=PASSWORD):
        return self.ask(self.plain(user, password))

    def submit(self):
        for line in ("MAIL FROM:<a@sender.bench>", "RCPT TO:<b@bench.test>", "DATA"):
            answer = self.ask(line)
            if answer[:1] not in "23":
                return answer
        return self.ask("From: a@sender.bench\r\nSubject: bench\r\n\r\n" + "x" * 70 + "\r\n.")

    def close(self):
        self.socket.close()
