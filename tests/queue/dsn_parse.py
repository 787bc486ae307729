"""Reads a notification from standard input with Python's email package and prints its fields as sorted JSON."""
import email
import email.policy
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(message.iter_parts())
status = parts[1].get_payload()
result = {
    "type": message.get_content_type(),
    "report": message["Content-Type"].params.get("report-type"),
    "defects": [str(d) for p in message.walk() for d in p.defects],
    "parts": [p.get_content_type() for p in parts],
    "text": parts[0].get_content(),
    "message": dict(status[0].items()),
    "recipients": [dict(s.items()) for s in status[1:] if len(s.items())],
}
if parts[2].get_content_type() == "message/rfc822":
    result["returned"] = parts[2].get_payload(0).as_bytes().decode()
else:
    result["returned"] = parts[2].get_payload()
print(json.dumps(result, sort_keys=True))
