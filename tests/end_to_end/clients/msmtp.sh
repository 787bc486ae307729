#!/bin/bash
# msmtp takes lines as they are on Unix.
set -euo pipefail
starttls=on
[[ $3 == implicit ]] && starttls=off
export CLIENT_PASSWORD=$7
tr -d '\r' <"${10}" | msmtp --host="$1" --port="$2" --timeout=20 --tls=on --tls-starttls="$starttls" \
  --tls-trust-file="$5" --auth="${4,,}" --user="$6" --passwordeval='printenv CLIENT_PASSWORD' --from="$8" \
  --domain=client.test -- "$9"
