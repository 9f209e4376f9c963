#!/usr/bin/env bash
# All tests: bash tests/run.sh [--long] [-L LABEL]
#   --long    also the tests labelled long
#   -L LABEL  only the tests whose label matches LABEL (a regular expression, as for ctest)
# Builds the dev preset and runs every test there, then builds the asan preset and runs the core's tests there with
# AddressSanitizer, UndefinedBehaviorSanitizer and leak detection. Exit code 0 when nothing failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/setup.sh

only=()
skip_long=(-LE long)
while [ $# -gt 0 ]; do
    case $1 in
    --long) skip_long=() ;;
    -L)
        [ $# -ge 2 ] || die 2 "tests/run.sh: -L needs a label: unit, grad, io, mpi"
        only=(-L "$2")
        shift
        ;;
    *) die 2 "tests/run.sh: unknown argument '$1'; usage: bash tests/run.sh [--long] [-L LABEL]" ;;
    esac
    shift
done

cores=$(nproc)
failed=0
log=$(mktemp)
parts=$(mktemp) # tests that left something out
trap 'rm -f "$log" "$parts"' EXIT

# check PRESET CTEST_ARGUMENT...: builds the preset and runs ctest in it. A failed test does not stop the others.
check() {
    local preset=$1
    shift
    stage "configure (build/$preset)" cmake --preset "$preset"
    stage "build $preset" cmake --build --preset "$preset" --parallel "$cores"
    ctest --preset "$preset" --parallel "$cores" "${only[@]}" "$@" | tee -a "$log" || failed=1
    awk '/^[0-9]+\/[0-9]+ Test: / { name = $3 } /^skipped: |\(.*skipped=/ { print name }' \
        "build/$preset/Testing/Temporary/LastTest.log" >>"$parts"
}

need "${packages[@]}" "${test_packages[@]}"
check dev "${skip_long[@]}"
ASAN_OPTIONS=detect_leaks=1 check asan -L 'unit|grad|io' -LE 'mpi|python|long'

# One line of ctest's log a test: "3/9 Test #4: test_rng ....   Passed  0.1 sec", or ***Skipped, ***Failed, ***Timeout ...
count() {
    grep -cE "Test +#[0-9]+: .*$1" "$log" || true
}
names() {
    sed -nE "s/.*Test +#[0-9]+: ([^ ]+) .*$1.*/\1/p" "$log" | sort -u | paste -sd ' '
}
bad='\*\*\*(Failed|Timeout|Exception|Not Run)'
skip='\*\*\*Skipped'
echo
[ "$(count "$bad")" -eq 0 ] || echo "failed: $(names "$bad")"
[ "$(count "$skip")" -eq 0 ] || echo "skipped: $(names "$skip")"
in_part=$(sort -u "$parts" | grep -vxFf <(names "$skip" | tr ' ' '\n') | paste -sd ' ' || true)
[ -z "$in_part" ] || echo "skipped in part: $in_part (see build/*/Testing/Temporary/LastTest.log)"
echo "dev and asan together, $SECONDS s:"
echo "$(count ' Passed ') passed, $(count "$bad") failed, $(count "$skip") skipped"
[ $failed -eq 0 ] && [ "$(count ' Passed ')" -gt 0 ]
