"""A small ext4 of our own on a loop device, whose power can be cut.

Whatever becomes of the program, nothing is left: the mounts are in a namespace of its own (own_mounts(), to be called
first), which goes with its last process, and a loop device goes with its mount.
"""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import time

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2  # what was not synced is lost, with what the journal still had in memory
LOG_FLUSH = 1  # the journal is written first: names survive whose files' octets do not
CLONE_NEWNS = 0x20000


def missing():
    """Why it does not work here; "" when it does."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("mkfs.ext4", "mount", "umount", "fsck.ext4"):
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            return f"needs {program}"
    if not os.path.exists("/dev/loop-control"):
        return "needs loop devices"
    return ""


def own_mounts():
    """Before any thread is started; without the rights for it works() will say so."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL)


def run(*words):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, words))}: {done.stdout.strip()}")
    return done.stdout


class LoopDisk(contextlib.AbstractContextManager):
    """`folder`/mnt is the file system, `folder`/disk its image. `options`: of mount."""

    def __init__(self, folder, size=64 << 20, options="", template=None):
        self.folder = pathlib.Path(folder)
        self.image, self.at = self.folder / "disk", self.folder / "mnt"
        self.options = options
        self.at.mkdir()
        if template:
            shutil.copyfile(template, self.image)
        else:
            make_image(self.image, size)

    def __enter__(self):
        self.mount()
        return self

    def __exit__(self, *_):
        self.unmount()

    def mount(self):
        run("mount", "-o", ",".join(filter(None, ("loop", self.options))), self.image, self.at)

    def unmount(self):
        end = time.monotonic() + 10
        while os.path.ismount(self.at):
            if subprocess.run(["umount", self.at], stderr=subprocess.DEVNULL).returncode and time.monotonic() > end:
                subprocess.run(["umount", "--lazy", self.at], stderr=subprocess.DEVNULL)
                return
            time.sleep(0.01)

    def cut(self, flags=NO_LOG_FLUSH):
        """From here on nothing more reaches the disk."""
        descriptor = os.open(self.at, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", flags))
        finally:
            os.close(descriptor)

    def power_on(self):
        """After a cut, once no process has a file open there: the journal is read back. What fsck then finds wrong, or ""."""
        self.unmount()
        self.mount()
        self.unmount()
        check = subprocess.run(["fsck.ext4", "-fn", self.image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.mount()
        return check.stdout.strip() if check.returncode else ""


def make_image(path, size=64 << 20):
    with open(path, "wb") as image:
        image.truncate(size)
    run("mkfs.ext4", "-q", "-F", path)


def works(folder):
    """"" when a disk can be made and cut here, else why not."""
    if why := missing():
        return why
    place = pathlib.Path(folder) / "trial"
    place.mkdir()
    try:
        with LoopDisk(place) as disk:
            (disk.at / "file").write_text("not synced")
            disk.cut()
            disk.power_on()
            return "the file system keeps what was not synced" if (disk.at / "file").exists() else ""
    except OSError as error:
        return f"no loop device can be mounted or shut down here ({error})"
    finally:
        shutil.rmtree(place, ignore_errors=True)
