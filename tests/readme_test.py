#!/usr/bin/python3
"""Compares the README with the program: tables between `<!-- holdfast … -->` and `<!-- end -->` are what that command
prints, and every command that the text names exists. With --write the tables are put in.

    readme_test.py BINARY README [--write]
"""
import re
import subprocess
import sys

TABLE = re.compile(r"(<!-- holdfast ([a-z -]+?) -->\n)(.*?)(<!-- end -->)", re.S)


def printed(binary, words):
    return subprocess.run([binary, *words.split()], check=True, capture_output=True, text=True).stdout


def commands(binary):
    """The words of every command, and of every group of them."""
    known = set()
    for row in re.findall(r"^\| `([^`]+)` \|", printed(binary, "man --markdown"), re.M):
        words = [word for word in row.split() if re.fullmatch(r"[a-z-]+", word)]
        for count in range(1, len(words) + 1):
            known.add(tuple(words[:count]))
    return known


def unknown_commands(text, known):
    """`holdfast WORD WORD` in code that names no command."""
    wrong = []
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^```\n(.*?)^```", text, re.S | re.M)
    for line in "\n".join(code).splitlines():
        for match in re.finditer(r"(?:^|[ ;|])holdfast ((?:[a-z-]+ ?)+)", line):
            words = match[1].split()
            if words and not words[0].startswith("-") and (words[0],) not in known:
                wrong.append(line.strip())
            elif len(words) > 1 and any(len(k) > 1 and k[0] == words[0] for k in known) and \
                    re.fullmatch(r"[a-z-]+", words[1]) and not words[1].startswith("-") and \
                    (words[0], words[1]) not in known:
                wrong.append(line.strip())
    return wrong


def main():
    binary, readme = sys.argv[1], sys.argv[2]
    text = open(readme, encoding="utf-8").read()
    tables = TABLE.findall(text)
    fresh = TABLE.sub(lambda m: m[1] + printed(binary, m[2]) + m[4], text)
    if "--write" in sys.argv[3:]:
        open(readme, "w", encoding="utf-8").write(fresh)
        return 0
    wrong = []
    for needed in ("man --markdown", "config reference --markdown"):
        if needed not in [words for _, words, _, _ in tables]:
            wrong.append(f"the table of `holdfast {needed}` is missing")
    for _, words, table, _ in tables:
        if table != printed(binary, words):
            wrong.append(f"the table of `holdfast {words}` is not what the program prints; "
                         f"run tests/readme_test.py BINARY README.md --write")
    wrong += [f"names no command: {line}" for line in unknown_commands(text, commands(binary))]
    # The check must be able to fail.
    assert unknown_commands("`holdfast nonsense`", commands(binary))
    assert unknown_commands("`holdfast queue nonsense`", commands(binary))
    assert not unknown_commands("`holdfast queue list --to x` and `holdfast check DOMAIN`", commands(binary))
    print("\n".join(wrong) or "the README says what the program says")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
