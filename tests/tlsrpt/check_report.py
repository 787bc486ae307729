#!/usr/bin/python3
"""Checks a TLS report with programs that are not ours: jsonschema, Python's email package, dkimpy.

  check_report.py json FILE             the JSON, or gzip of it, against rfc8460.schema.json
  check_report.py mail FILE NAME TXT    a mail: headers and parts of RFC 8460 section 5.3, its signature with the
                                        key record TXT at NAME, and the report in it

Prints the report's JSON on one line. Exits 1 and says what is wrong otherwise.
"""
import email
import email.policy
import gzip
import ipaddress
import json
import pathlib
import sys

import jsonschema


def need(condition, what):
    if not condition:
        sys.exit("wrong: " + what)


def check_json(octets):
    if octets[:2] == b"\x1f\x8b":
        octets = gzip.decompress(octets)
    report = json.loads(octets)
    schema = json.loads(pathlib.Path(__file__).with_name("rfc8460.schema.json").read_text())
    checker = jsonschema.FormatChecker()
    for version in (4, 6):
        def is_ip(value, version=version):
            return ipaddress.ip_address(value).version == version
        checker.checks("ipv%d" % version, raises=ValueError)(is_ip)
    validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
    for error in validator.iter_errors(report):
        need(False, "/".join(map(str, error.absolute_path)) + ": " + error.message)
    for entry in report["policies"]:
        failed = sum(one["failed-session-count"] for one in entry.get("failure-details", []))
        need(failed == entry["summary"]["total-failure-session-count"], "the failures do not add up")
    return report


def check_mail(octets, key_name, key_record):
    import dkim  # its messages of import are slow; only mails need it

    mail = email.message_from_bytes(octets, policy=email.policy.default)
    need(not mail.defects, "the mail's form: %s" % mail.defects)
    need(mail.get_content_type() == "multipart/report", "Content-Type")
    need(mail.get_param("report-type") == "tlsrpt", "report-type")
    need(mail["TLS-Required"] == "No", "TLS-Required")
    need(mail["MIME-Version"] and mail["Date"] and mail["Message-ID"], "a basic field is missing")
    parts = list(mail.iter_parts())
    need(len(parts) == 2, "it has %d parts" % len(parts))
    need(parts[0].get_content_type() == "text/plain", "the part for people")
    need(parts[1].get_content_type() == "application/tlsrpt+gzip", "the part for programs")
    report = check_json(parts[1].get_content())

    domain, submitter = mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]
    need(submitter == report["contact-info"].split("@")[1], "the submitter is not the contact's domain")
    need(mail["From"].addresses[0].domain == submitter, "From is not of the submitter")
    subject = "Report Domain: %s Submitter: %s Report-ID: <%s>" % (domain, submitter, report["report-id"])
    need(" ".join(mail["Subject"].split()) == subject, "Subject: %s" % mail["Subject"])
    name = parts[1].get_filename().split("!")
    need(name[0] == submitter and name[1] == domain, "the file's name")
    need(name[-1].endswith(".json.gz") and int(name[2]) + 86399 == int(name[3].split(".")[0]), "the file's times")

    tags = dict(tag.strip().split("=", 1) for tag in "".join(mail["DKIM-Signature"].split()).split(";") if tag)
    need(tags["d"] == submitter, "d= is not the submitter")
    signed = tags["h"].lower().split(":")
    for field in ("from", "to", "subject", "tls-report-domain", "tls-report-submitter", "tls-required"):
        need(field in signed, field + " is not signed")

    def txt(name, timeout=5):
        text = name.decode() if isinstance(name, bytes) else name
        return key_record.encode() if text.rstrip(".") == key_name else None

    need(dkim.verify(octets, dnsfunc=txt), "the signature")
    return report


def main():
    octets = pathlib.Path(sys.argv[2]).read_bytes()
    report = check_json(octets) if sys.argv[1] == "json" else check_mail(octets, sys.argv[3], sys.argv[4])
    print(json.dumps(report))


main()
