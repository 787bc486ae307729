"""What the benchmarks ask of the machine: ports, CPU and memory of processes, versions, certificates."""
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            return s.recv(3) == b"220"
    except OSError:
        return False


def stat_of(pid):
    """(parent, own ticks, ticks of ended children) of a process; None when it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def family(root_pid):
    """A process and its children."""
    pids = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := stat_of(entry)) and (int(entry) == root_pid or stat[0] == root_pid):
            pids.append(int(entry))
    return pids


def cpu_seconds(root_pid):
    """CPU of a process, its ended children, and its living children with theirs."""
    return sum(stat[1] + stat[2] for pid in family(root_pid) if (stat := stat_of(pid))) / TICK


def thread_seconds(pid):
    """CPU of each thread of a process, by its id; the kernel counts it in nanoseconds."""
    out = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            out[thread] = int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            pass  # ended
    return out


def memory_mib(root_pid):
    """(resident, proportional) set size of a process and its children, MiB."""
    rss = pss = 0
    for pid in family(root_pid):
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        rss += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Rss:"))
        pss += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return rss / 1024, pss / 1024


class Names:
    """A name server for which every host is 127.0.0.1: a relay logs in only where it can verify a name."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(2048)
            except OSError:
                return  # closed
            end = query.index(b"\0", 12) + 5
            is_a = query[end - 4:end - 2] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_a else b""
            self.socket.sendto(query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0" +
                               query[12:end] + answer, client)

    def close(self):
        self.socket.close()


def certificate(folder):
    """A CA, and a certificate for localhost signed by it."""
    run = lambda *a: subprocess.run(a, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench CA")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
        "-out", "leaf.csr", "-subj", "/CN=bench")
    (folder / "ext").write_text("subjectAltName=DNS:sink.bench,DNS:relay.bench\n")
    run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "30", "-extfile", "ext", "-out", "cert.pem")


def first_line(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split("\n")[0]
    except OSError:
        return ""


def description(build):
    """One line: the machine, the system, and the versions that matter."""
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) / 1048576
    system = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())
    commit = first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    postfix = first_line("postconf", "-h", "mail_version")
    parts = [f"{len(os.sched_getaffinity(0))} × {cpu.group(1) if cpu else 'CPU'}", f"{memory:.0f} GiB",
             f"load {os.getloadavg()[0]:.1f} at the start", system.group(1) if system else "", "Linux " + os.uname().release,
             first_line("openssl", "version"), f"{first_line(str(build / 'holdfast'), 'version')} ({commit})",
             f"Postfix {postfix}" if postfix else "no Postfix"]
    return ", ".join(part for part in parts if part)
