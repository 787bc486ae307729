#!/usr/bin/python3
"""Each promise of the README is executed by a test that exists: looks up what its links name.

    promises_test.py SOURCE

A link is [`Suite.Test`](tests/file.cc), which that file must define, or [`tests/program.py`](tests/program.py).
"""
import pathlib
import re
import sys

LINK = re.compile(r"\[`([^`]+)`\]\((tests/[^)#]+)\)")


def missing(text, source):
    """What the links name and nobody has."""
    wrong = []
    for name, path in LINK.findall(text):
        file = source / path
        if not file.is_file():
            wrong.append(f"{name}: there is no file {path}")
        elif name != path:
            suite, _, test = name.partition(".")
            if not re.search(rf"^TEST(?:_F|_P)?\(\s*{re.escape(suite)},\s*{re.escape(test)}\)", file.read_text(), re.M):
                wrong.append(f"{path} has no test {name}")
    return wrong


def without_a_test(text):
    """Rows of the table of promises that link nothing; its headings are set in bold."""
    table = text[text.index("| promise | executed by |"):].split("\n\n")[0].splitlines()[2:]
    return [row for row in table if not LINK.search(row) and not re.fullmatch(r"\| \*\*[^|]+\*\* \|\s*\|", row)]


def main():
    source = pathlib.Path(sys.argv[1])
    text = (source / "README.md").read_text(encoding="utf-8")
    wrong = missing(text, source) + [f"a promise without a test: {row}" for row in without_a_test(text)]
    # The check must be able to fail.
    assert missing("[`Policy.IsNotThere`](tests/end_to_end/policy_test.cc)", source)
    assert missing("[`tests/gone.py`](tests/gone.py)", source)
    assert without_a_test("| promise | executed by |\n|---|---|\n| all is well | |\n")
    print("\n".join(wrong) or f"{len(LINK.findall(text))} links of the README lead to tests")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
