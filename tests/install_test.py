#!/usr/bin/python3
"""Installs the build into an empty folder, and looks whether everything lies where programs look for it.

    install_test.py CMAKE BUILD
"""
import os
import pathlib
import subprocess
import sys
import tempfile

FILES = {
    "/usr": ["bin/holdfast", "lib/systemd/system/holdfast.service", "lib/sysusers.d/holdfast.conf",
             "share/man/man1/holdfast.1", "share/bash-completion/completions/holdfast", "share/zsh/vendor-completions/_holdfast",
             "share/fish/vendor_completions.d/holdfast.fish"],
    "/usr/local": ["bin/holdfast", "lib/systemd/system/holdfast.service", "lib/sysusers.d/holdfast.conf",
                   "share/man/man1/holdfast.1", "share/bash-completion/completions/holdfast", "share/zsh/site-functions/_holdfast",
                   "share/fish/vendor_completions.d/holdfast.fish"],
}


def main():
    cmake, build = sys.argv[1:]
    for prefix, files in FILES.items():
        with tempfile.TemporaryDirectory() as root:
            subprocess.run([cmake, "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL,
                           env={**os.environ, "DESTDIR": root})
            there = pathlib.Path(root + prefix)
            found = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
            # Built together with the tests, so not always there.
            assert found == sorted(files + [one for one in found if one == "libexec/holdfast/holdfast-selftest"]), found
            assert all(path.is_relative_to(there) or path.is_dir() for path in pathlib.Path(root).rglob("*"))
            unit = (there / "lib/systemd/system/holdfast.service").read_text()
            assert f"ExecStart={prefix}/bin/holdfast serve" in unit, unit
            assert os.access(there / "bin/holdfast", os.X_OK)
            assert (there / "share/man/man1/holdfast.1").read_text().startswith(".TH"), "no manual page"
            for file in files[4:]:
                assert "holdfast" in (there / file).read_text(), file
            printed = subprocess.run([there / "bin/holdfast", "version"], check=True, capture_output=True, text=True)
            assert printed.stdout.startswith("holdfast "), printed
    print("everything lies where it is looked for")
    return 0


if __name__ == "__main__":
    sys.exit(main())
