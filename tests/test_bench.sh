#!/usr/bin/env bash
# test_bench.sh DIRECTORY: the benchmarks of that build run and their lines make a table, and the peers train as vqsweep
# does. How fast anything is, is not looked at.
set -euo pipefail
bin=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/bench"
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
python=/usr/bin/python3
row=128,2,16,256

"$bin/bench_step" --list | grep -qx "$row"
"$bin/bench_step" --rounds 1 --seconds 0.001 --rows 6 --team 1 | grep -E "^$row +rotation "
"$bin/bench_step" --kv --rounds 1 --seconds 0.001 --rows 6 --estimator ste >"$box/log"
"$bin/export_trial" "$box/trial" D=96 d=16 r=12 K=100 N=1000 codebook_init=data epochs=4
for peer in numpy torch; do
    code=0
    "$python" "peer_$peer.py" --check "$box/trial" || code=$?
    [ $code -eq 77 ] && continue
    [ $code -eq 0 ]
    "$python" "peer_$peer.py" --seconds 0.01 "$row" >>"$box/log"
done
"$python" table.py <"$box/log" | tee "$box/table"
grep -qE "^$row .*%.*%" "$box/table"
"$bin/bench_scale" --ranks 100 --trials 5 | grep 'under 95%'
"$bin/bench_store" 100 "$box" | grep '^store: write'
