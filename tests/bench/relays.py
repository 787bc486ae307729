"""The two relays under test, each started from a folder of its own and ended with the case.

Both get the settings that their manuals recommend for a smarthost: connections to the next hop are reused (also under
TLS), clients on the trusted network are not limited. Both keep fsync on, which is their default.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess

from machine import Names, answers, free_port, stat_of, wait_until

USER, PASSWORD = "bench", "a password for the bench"


class Setup:
    """What a case asks of a relay."""

    def __init__(self, sinks, tls=False, auth=False, threads=0, connections=20, reuse=100, count_syncs=None):
        self.sinks = sinks  # {recipient domain or "*": port}
        self.tls = tls
        self.auth = auth  # the client logs in, and the relay logs in at the sink; implies TLS
        self.threads = threads  # of Holdfast; 0: as many as cores
        self.connections = connections  # to one destination; 20 is the default of both
        self.reuse = reuse  # messages after which Holdfast ends a connection; Postfix ends it after 300 s
        self.count_syncs = count_syncs  # a file for sync_count.cc


def environment(build, setup):
    """What a relay is started with, so that its syncs are counted where the case asks for it."""
    if not setup.count_syncs:
        return {}
    return {"LD_PRELOAD": str(build / "tests/libsync_count.so"), "SYNC_COUNT_FILE": str(setup.count_syncs)}


class Holdfast:
    name = "holdfast"

    def __init__(self, build, folder, setup):
        self.port = free_port()
        self.binary = build / "holdfast"
        self.data = folder / "holdfast"
        self.data.mkdir()
        self.config = folder / "holdfast.toml"
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o600)
        self.config.write_text(f'''
hostname = "relay.bench"
data_dir = "{self.data}"
[runtime]
threads = {setup.threads}
[[listener]]
bind = "127.0.0.1:{self.port}"
mode = "{'submission' if setup.auth else 'trusted'}"
max_connections_per_ip = 1000
[tls]
certificate = "{folder}/cert.pem"
private_key = "{folder}/key.pem"
[trust]
ca_file = "{folder}/ca.pem"
[auth]
trusted_networks = ["127.0.0.0/8"]
[delivery]
connections_per_destination = {setup.connections}
connections_per_mx = {min(10000, setup.connections * len(setup.sinks))}
messages_per_connection = {setup.reuse}
[admin]
http = ""
[tlsrpt]
enabled = false
[log]
level = "warning"
''' + (f'''
[[user]]
name = "{USER}"
password_file = "{folder}/password"
senders = ["*"]
''' if setup.auth else "") + "".join(f'''
[[route]]
recipients = ["{domain}"]
via = ["{'sink.bench' if setup.auth else '127.0.0.1'}:{port}"]
tls = "{'verify' if setup.auth else 'required' if setup.tls else 'opportunistic'}"
''' + (f'username = "{USER}"\npassword_file = "{folder}/password"\n' if setup.auth else "")
            for domain, port in setup.sinks.items()))
        self.names = Names() if setup.auth else None
        if self.names:
            self.config.write_text(self.config.read_text().replace(
                "[admin]", f'[dns]\nservers = ["127.0.0.1:{self.names.port}"]\n[sts]\nmode = "off"\n[admin]', 1))
        self.log = folder / "holdfast.log"
        self.process = subprocess.Popen([self.binary, "serve", "-c", self.config], stdout=open(self.log, "w"),
                                        stderr=subprocess.STDOUT, env={**os.environ, **environment(build, setup)})
        self.pid = self.process.pid
        try:
            wait_until(self.ready, "the relay's greeting")
        except RuntimeError:
            self.stop()
            raise

    def ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("holdfast does not start: " + self.log.read_text()[-500:])
        return answers(self.port)

    def flush(self):
        """Tries all that is queued at once: forgets that the destinations were down, and makes their mail due."""
        for line in self.command("destination", "list", "--json").splitlines():
            self.command("destination", "resume", json.loads(line)["name"])
        self.command("queue", "retry", "--from", "bench@sender.test", "--yes")

    def command(self, *words):
        return subprocess.run([self.binary, *words, "-c", self.config], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True).stdout

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.names:
            self.names.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Postfix:
    name = "postfix"

    def __init__(self, build, folder, setup):
        self.port = free_port()
        self.folder = folder / "postfix"
        for part in ("etc/sasl", "spool", "data"):
            (self.folder / part).mkdir(parents=True)
        folder.chmod(0o755)
        shutil.chown(self.folder / "data", "postfix", "postfix")
        routes = ", ".join(f"{{{domain} = smtp:[127.0.0.1]:{port}}}" for domain, port in setup.sinks.items())
        by_domain = "*" not in setup.sinks
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
smtpd_client_connection_count_limit = 0
smtp_tls_security_level = {'encrypt' if setup.tls else 'none'}
smtp_tls_connection_reuse = yes
smtpd_tls_security_level = {'may' if setup.tls else 'none'}
smtpd_tls_cert_file = {folder}/cert.pem
smtpd_tls_key_file = {folder}/key.pem
import_environment = MAIL_CONFIG MAIL_LOGTAG LANG=C LD_PRELOAD SYNC_COUNT_FILE
default_process_limit = {max(100, setup.connections + 60)}
default_destination_concurrency_limit = {setup.connections}
''' + (f"transport_maps = inline:{{{routes}}}\n" if by_domain else f"relayhost = [127.0.0.1]:{setup.sinks['*']}\n")
            + ("smtpd_relay_restrictions = permit_mynetworks, reject\n" if not setup.auth else
               self.sasl(setup.sinks["*"])))
        services = []
        proto = pathlib.Path("/etc/postfix/master.cf.proto")
        for line in (proto if proto.exists() else pathlib.Path("/usr/share/postfix/master.cf.dist")).read_text().splitlines():
            fields = line.split()
            if len(fields) >= 8 and not line.startswith(("#", " ")):
                if fields[0] == "smtp" and fields[1] == "inet":
                    line = f"127.0.0.1:{self.port} inet n - n - - smtpd"
                else:
                    fields[4] = "n"
                    line = " ".join(fields)
            services.append(line)
        services.append("tlsproxy unix - - n - 0 tlsproxy")  # connection reuse under TLS; Debian's list has it commented out
        (self.folder / "etc/master.cf").write_text("\n".join(services) + "\n")
        self.command("postfix", "start", **environment(build, setup))
        self.pid = int((self.folder / "spool/pid/master.pid").read_text())
        try:
            wait_until(lambda: answers(self.port), "Postfix's greeting")
        except RuntimeError:
            self.stop()
            raise

    def sasl(self, sink):
        """Cyrus SASL on both sides: the user in a database of its own, the password for the sink in a map."""
        etc = self.folder / "etc"
        (etc / "sasl/smtpd.conf").write_text(
            f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\nsasldb_path: {etc}/sasldb2\n")
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", etc / "sasldb2", "-u", "postfix.bench", USER],
                       input=PASSWORD.encode(), check=True)
        shutil.chown(etc / "sasldb2", "postfix", "postfix")
        return (f"cyrus_sasl_config_path = {etc}/sasl\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_path = smtpd\n"
                "smtpd_sasl_local_domain = postfix.bench\nsmtpd_tls_auth_only = yes\n"
                "smtpd_relay_restrictions = permit_sasl_authenticated, reject\n"
                "smtp_sasl_auth_enable = yes\nsmtp_sasl_tls_security_options = noanonymous\n"
                f"smtp_sasl_password_maps = inline:{{{{[127.0.0.1]:{sink} = {USER}:{PASSWORD}}}}}\n")

    @staticmethod
    def can_authenticate():
        return shutil.which("saslpasswd2") is not None

    def command(self, program, *words, **environ):
        subprocess.run([program, "-c", self.folder / "etc", *words], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={**os.environ, **environ})

    def flush(self):
        self.command("postqueue", "-f")

    def stop(self):
        self.command("postfix", "stop")
        wait_until(lambda: stat_of(self.pid) is None, "Postfix's end")
