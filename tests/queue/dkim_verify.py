"""Verifies the DKIM signature of the message on standard input with dkimpy; argument 1 is the TXT record."""
import sys

import dkim

message = sys.stdin.buffer.read()
record = sys.argv[1].encode()
asked = []


def txt(name, timeout=5):
    asked.append(name)
    return record


print("verified" if dkim.verify(message, dnsfunc=txt) else "refused", asked[0].decode() if asked else "")
