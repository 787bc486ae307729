#!/bin/bash
set -euo pipefail
scheme=smtp
[[ $3 == implicit ]] && scheme=smtps
exec curl --silent --show-error --max-time 20 --ssl-reqd --cacert "$5" --login-options "AUTH=$4" --user "$6:$7" \
  --mail-from "$8" --mail-rcpt "$9" --upload-file "${10}" "$scheme://$1:$2/client.test"
