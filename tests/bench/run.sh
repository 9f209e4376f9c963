#!/usr/bin/env bash
# Benchmarks: bash tests/bench/run.sh [--quick] [--rounds N]     the training step, beside its peers: one table
#             --quick is of ste alone, in two short rounds
#             bash tests/bench/run.sh --seed-study N             the seed study with N seeds, on all cores
#             bash tests/bench/run.sh --sched | --scale | --store
#   --sched   what the scheduler costs, at 1, 2, 4 and 64 ranks
#   --scale   how many ranks one rank 0 can feed, by a model that takes rank 0's cost from --sched and --store
#   --store   what journal and result file cost, a record
# Peers are NumPy and PyTorch (Debian: python3-numpy, python3-torch), each left out by name where it is not installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. jobs/setup.sh

python=/usr/bin/python3
bin=build/release/tests
what=step
rounds=5
seconds=0.1   # of each measurement of ours, and three times that of each peer's
ours=() # options of bench_step
seeds=
number() { # number OPTION [VALUE]
    [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || die 2 "tests/bench/run.sh: $1 needs a number"
}
while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=2 seconds=0.02 ours=(--team 1 --estimator ste) ;;
    --rounds)
        number "$@"
        rounds=$2
        shift
        ;;
    --seed-study)
        number "$@"
        what=seed_study seeds=$2
        shift
        ;;
    --sched | --scale | --store) what=${1#--} ;;
    *) die 2 "tests/bench/run.sh: unknown argument '$1'; its first lines say how it is called" ;;
    esac
    shift
done
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

load() {
    cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || echo unknown
}

machine() {
    local cpu
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
    echo "CPU: ${cpu:-unknown}, $(nproc) cores; OPENBLAS_CORETYPE ${OPENBLAS_CORETYPE:-unset}; load average $(load)"
}

# A peer against our own loss curves; then it is one of `peers`.
peers=()
check_peer() {
    local code=0 out
    out=$("$python" "tests/bench/peer_$1.py" --check "$box/trial" 2>&1) || code=$?
    printf '%s\n' "$out"
    case $code in
    0) peers+=("$1") ;;
    77) echo "skipped: $1" ;;
    *) die 1 "tests/bench/run.sh: the peer $1 does not train as vqsweep does" ;;
    esac
}

step() {
    local rows round peer
    mapfile -t rows < <("$bin/bench_step" --list)
    "$bin/export_trial" "$box/trial" D=96 d=16 r=12 K=100 N=1000 codebook_init=data epochs=4
    check_peer numpy
    check_peer torch
    for ((round = 1; round <= rounds; round++)); do
        [ ! -t 2 ] || printf 'round %d of %d\r' "$round" "$rounds" >&2
        "$bin/bench_step" --kv --rounds 1 --seconds "$seconds" "${ours[@]}" >>"$box/log"
        for peer in "${peers[@]}"; do
            "$python" "tests/bench/peer_$peer.py" --seconds "$(awk "BEGIN { print 3 * $seconds }")" "${rows[@]}" \
                >>"$box/log"
        done
    done
    "$python" tests/bench/table.py <"$box/log"
}

seed_study() {
    local trials TIMEFORMAT='%R s, %U s of CPU time'
    trials=$(build/release/vqsweep plan jobs/seed_study.yaml --seeds "1..$seeds" | awk '$1 == "trials" { print $2 }')
    printf 'seed study, %d seeds, %s trials: ' "$seeds" "$trials"
    { time run_study; } 2>&1
}

run_study() {
    build/release/vqsweep run jobs/seed_study.yaml --seeds "1..$seeds" -o "$box/seed_study.h5" -q >"$box/log" 2>&1 || {
        cat "$box/log"
        die 1 'tests/bench/run.sh: the seed study failed'
    }
}

sched() {
    local ranks
    for ranks in 1 2 4 64; do
        mpirun.openmpi -n "$ranks" "$bin/bench_sched"
    done
}

store() {
    "$bin/bench_store" "${1:-100000}" "$box"
}

# Rank 0's time a trial: the messages (the least measured, where it is busy and seldom looks for them in vain), and the
# journal. What it spends on a sign of life is taken as that on a trial's messages, of which there are two as well.
scale() {
    local messages journal
    messages=$(mpirun.openmpi -n 2 "$bin/bench_sched" |
        sed -n 's/^ *0\.0 ms.*main thread *\([0-9.]*\) us.*/\1/p' | sort -n | head -n 1)
    journal=$(store 20000 | sed -n 's/^journal: append  .* \([0-9.]*\) us.record.*/\1/p')
    echo "rank 0: messages $messages us a trial (half of them its own), journal $journal us"
    "$bin/bench_scale" --cost "$(awk "BEGIN { print 2 * $messages + $journal }")" \
        --beat "$(awk "BEGIN { print 2 * $messages }")"
}

need "${packages[@]}"
stage "configure (build/release)" cmake --preset release
stage "build" cmake --build --preset release --parallel "$(nproc)"
machine
"$what"
echo "load average at the end: $(load)"
