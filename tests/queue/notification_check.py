"""notification_check.py FOLDER full|headers: are FOLDER/*.eml the notifications that RFC 3461 asks for?

FOLDER/recipients has a line for each recipient: ADDRESS FATE NOTIFY NEXT_HOP ORIGINAL. FATE: ok, no (5xx at once),
lateok and lateno (4xx for five hours, then so), expires. NEXT_HOP: dsn, or plain where it does not tell of success.
"""
import collections
import email
import email.policy
import email.utils
import pathlib
import sys

folder, returned = pathlib.Path(sys.argv[1]), sys.argv[2]
wrong = []


def check(condition, *what):
    if not condition:
        wrong.append(" ".join(str(w) for w in what))


def wanted(fate, notify, next_hop):
    """The events that a sender hears of (RFC 3461 sections 4.1, 5.2; delay and failure by default)."""
    asked = {"FAILURE", "DELAY"} if notify == "-" else set(notify.split(","))
    if fate in ("lateok", "lateno", "expires") and "DELAY" in asked:
        yield "delayed", "4.2.0"
    if fate in ("ok", "lateok") and "SUCCESS" in asked and next_hop == "plain":
        yield "relayed", "2."
    if fate in ("no", "lateno") and "FAILURE" in asked:
        yield "failed", "5.1.1"
    if fate == "expires" and "FAILURE" in asked:
        yield "failed", "4.4.7"


recipients = {}
expected = collections.Counter()
for line in (folder / "recipients").read_text().splitlines():
    address, fate, notify, next_hop, original = line.split()
    recipients[address] = (next_hop, original)
    for action, status in wanted(fate, notify, next_hop):
        expected[address, action, status] += 1

found = collections.Counter()
for file in sorted(folder.glob("*.eml")):
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    check(not [d for p in message.walk() for d in p.defects], file.name, "has defects")
    check(message.get_content_type() == "multipart/report", file.name, message.get_content_type())
    check(message["Content-Type"].params.get("report-type") == "delivery-status", file.name, "report-type")
    check(message["Auto-Submitted"] == "auto-replied", file.name, "Auto-Submitted")
    for field in ("From", "To", "Subject", "Date", "Message-ID"):
        check(len(message.get_all(field, [])) == 1, file.name, "has not one", field)
    check(email.utils.parseaddr(message["To"])[1] == "sender@origin.example", file.name, message["To"])
    text, status, original = message.iter_parts()
    check(text.get_content_type() == "text/plain" and status.get_content_type() == "message/delivery-status",
          file.name, "parts")
    blocks = [b for b in status.get_payload() if b.items()]
    head = blocks[0]
    check(head["Reporting-MTA"] == "dns; relay.example", file.name, head["Reporting-MTA"])
    check(head["Original-Envelope-Id"] == "QQ+314", file.name, head["Original-Envelope-Id"])
    check(email.utils.parsedate_to_datetime(head["Arrival-Date"]), file.name, "Arrival-Date")
    actions = set()
    for block in blocks[1:]:
        kind, address = (s.strip() for s in block["Final-Recipient"].split(";"))
        check(kind == "rfc822" and address in recipients, file.name, "unknown", address)
        next_hop, alias = recipients[address]
        action, code = block["Action"], block["Status"]
        actions.add(action)
        check((block["Original-Recipient"] or "-").replace(" ", "") == alias, address, block["Original-Recipient"], alias)
        check(block["Remote-MTA"] == f"dns; mx.{address.split('@')[1]}", address, block["Remote-MTA"])
        diagnostic = block["Diagnostic-Code"] or ""
        if action == "relayed":
            check(code.startswith("2."), address, code)
            code = "2."
        elif code == "4.4.7":
            check("450 4.2.0" in diagnostic, address, "expired with", diagnostic)
        else:
            check(diagnostic.startswith("smtp; ") and code in diagnostic, address, code, diagnostic)
        check((block["Will-Retry-Until"] is not None) == (action == "delayed"), address, "Will-Retry-Until")
        check(email.utils.parsedate_to_datetime(block["Last-Attempt-Date"]), address, "Last-Attempt-Date")
        check(address in text.get_content(), address, "is not in the text for people")
        found[address, action, code] += 1
    check(len(actions) == 1, file.name, "mixes", actions)
    whole = returned == "full" and actions == {"failed"}
    check(original.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers"), file.name,
          original.get_content_type())
    check(("body-canary" in file.read_text()) == whole, file.name, "body")
    inner = original.get_payload(0) if whole else email.message_from_string(original.get_payload())
    check(inner["Subject"] == "to a hundred", file.name, "original's Subject", inner["Subject"])

for key, count in (expected - found).items():
    wrong.append(f"not told: {key} × {count}")
for key, count in (found - expected).items():
    wrong.append(f"told, though nobody asked: {key} × {count}")
print("\n".join(wrong) or f"{sum(found.values())} ends and delays told, as asked")
sys.exit(1 if wrong else 0)
