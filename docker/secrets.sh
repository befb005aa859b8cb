#!/bin/sh
# Makes docker/.env once: what compose.yaml needs and nobody else may know.
set -eu
umask 077
file="$(dirname "$0")/.env"

random() {
  od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

if [ -e "$file" ]; then
  echo "$file is there already: its secrets stay" >&2
  exit 0
fi
printf '%s=%s\n' S3_ACCESS_KEY "$(random 10)" S3_SECRET_KEY "$(random 32)" S3_SSE_KEY "$(random 32)" \
  SWARM_PASSPHRASE "$(random 32)" > "$file.new"
mv "$file.new" "$file"
