#!/usr/bin/env bash
# shellcheck disable=SC2016 # the stand-ins' text is expanded when they run
# jobs/setup.sh with stand-ins for dpkg-query, apt-get, sudo and id: what is asked of apt, and what is said without it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

stand_in() { # stand_in NAME SCRIPT
    printf '#!/bin/sh\n%s\n' "$2" >"$box/$1"
    chmod +x "$box/$1"
}
# try WANTED_CODE WANTED_OUTPUT_PATTERN: `need alpha beta` where alpha is installed; the whole output must match.
try() {
    local code=0 out
    rm -f "$box/updated"
    out=$(PATH="$box:$PATH" BOX="$box" bash -c 'set -euo pipefail; . jobs/setup.sh; need alpha beta' 2>&1) || code=$?
    if [ $code -ne "$1" ] || ! [[ $out =~ ^$2$ ]]; then
        printf 'wanted exit code %d and /%s/, got %d and:\n%s\n' "$1" "$2" "$code" "$out" >&2
        exit 1
    fi
}

stand_in dpkg-query 'echo "ii  alpha"; echo "rc  beta"' # beta was removed, its configuration is left
stand_in id 'echo 1000'
stand_in sudo 'exit 1'
stand_in apt-get 'exit 1'
try 7 'set-up: missing packages; install them with: apt-get update && apt-get install -y beta \(as root\)'

stand_in id 'echo 0'
try 7 'install 1 packages with apt +[0-9]+ s  FAILED'$'\n''set-up: missing packages; install them with: .* -y beta'

stand_in apt-get '[ "$1" = update ] && { touch "$BOX/updated"; exit 0; }; [ -e "$BOX/updated" ]' # old lists
try 0 'install 1 packages with apt +[0-9]+ s'
[ -e "$box/updated" ]

stand_in apt-get '[ "$*" = "install -y --no-install-recommends beta" ]' # good lists
try 0 'install 1 packages with apt +[0-9]+ s'
[ ! -e "$box/updated" ]

stand_in id 'echo 1000'
stand_in sudo 'shift; exec "$@"'
try 0 'install 1 packages with apt +[0-9]+ s'

stand_in dpkg-query 'echo "ii  alpha"; echo "hi  beta"' # held
stand_in apt-get 'exit 1'
try 0 ''
