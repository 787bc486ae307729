#!/bin/bash
# swaks ends what it is given with a line end of its own.
set -euo pipefail
tls=--tls
[[ $3 == implicit ]] && tls=--tls-on-connect
tr -d '\r' <"${10}" | head -c -1 |
  swaks --server "$1" --port "$2" "$tls" --tls-verify --tls-ca-path "$5" --auth "$4" --auth-user "$6" \
    --auth-password "$7" --from "$8" --to "$9" --ehlo client.test --data - --timeout 20
