#!/usr/bin/env bash
# test_readme.sh VQSWEEP: the READMEs are true. The jobs in README.md can be planned, its first example runs as it
# stands there, and src/README.md names every source and no other.
set -euo pipefail
vqsweep=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readme=$PWD/README.md
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

named=$(grep -oE '[a-z_0-9]+\.c\b' src/README.md | sort -u)
present=$(find src -name '*.c' -printf '%f\n' | sort)
diff <(echo "$present") <(echo "$named") || {
    echo 'src/README.md and the sources differ (<: not named, >: not there)' >&2
    exit 1
}

# block FIRST_LINE: the indented block of README.md that starts so, without the indentation
block() {
    sed -n "/^    $1/,/^\$/p" "$readme" | sed 's/^    //'
}
cd "$box"
block 'name: first' >first.yaml
block 'name: example' >example.yaml
block 'name: mine' >mine.yaml
seq 48000 | awk '{printf "%d%s", ($1 * 7919) % 1009, $1 % 24 ? "," : "\n"}' >measured.csv
"$vqsweep" plan mine.yaml | grep -q 'measured.csv: CSV: 2000 samples of 24 values, of which a trial draws 1900'
mkdir -p build/release
ln -s "$vqsweep" build/release/vqsweep
"$vqsweep" plan first.yaml | grep -q '^trials *20 '
"$vqsweep" plan example.yaml
block 'build\/release\/vqsweep plan first.yaml' >commands
[ "$(wc -l <commands)" -ge 4 ]
bash -e commands
