#!/usr/bin/python3
import smtplib
import ssl
import sys

host, port, tls, mechanism, ca_file, user, password, sender, recipient, message = sys.argv[1:]
context = ssl.create_default_context(cafile=ca_file)
if tls == 'implicit':
    smtp = smtplib.SMTP_SSL(host, int(port), context=context, timeout=20)
else:
    smtp = smtplib.SMTP(host, int(port), timeout=20)
    smtp.starttls(context=context)
with smtp, open(message, 'rb') as content:
    smtp.ehlo()
    assert smtp.esmtp_features['auth'].split() == [mechanism], smtp.esmtp_features
    smtp.login(user, password)
    smtp.sendmail(sender, [recipient], content.read(), mail_options=['BODY=8BITMIME'])
