#!/usr/bin/env bash
# Submits a sweep to SLURM, sized by its plan: bash cluster/submit.sh [--dry-run] [--array N] JOB [RUN OPTION...]
#
#   bash cluster/submit.sh jobs/seed_study.yaml
#   bash cluster/submit.sh --dry-run jobs/seed_study.yaml --seeds 1..1000
#   bash cluster/submit.sh --array 8 jobs/seed_study.yaml -o results/seed_study.h5      eight jobs, a shard each
#
# The site file (cluster/site.env, or what VQSWEEP_SITE names; see cluster/site.example.env) says what a node is and how
# many nodes and hours may be asked for. The request: as few nodes as do the planned work in SITE_TARGET_HOURS, twice
# the planned time, and memory for one trial a thread. What does not fit the longest time goes on in further slots.
set -euo pipefail

die() { # die EXIT_CODE TEXT
    printf 'submit.sh: %s\n' "$2" >&2
    exit "$1"
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
site=${VQSWEEP_SITE:-$root/cluster/site.env}
[ -r "$site" ] || die 7 "there is no site file $site; copy cluster/site.example.env there and fill it in"
# shellcheck source=cluster/site.example.env
. "$site"
if declare -F site_modules >/dev/null; then site_modules; fi
vqsweep=${VQSWEEP:-$root/build/release/vqsweep}
[ -x "$vqsweep" ] || die 7 "there is no program $vqsweep; build it, or set VQSWEEP in $site"

run=(sbatch)
tasks=0
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) run=(echo sbatch) ;;
    --array)
        tasks=${2:-}
        [[ $tasks =~ ^[1-9][0-9]*$ ]] || die 2 "--array: must be a number of jobs, not '$tasks'"
        shift
        ;;
    -*) die 2 "no option '$1'; usage: bash cluster/submit.sh [--dry-run] [--array N] JOB [RUN OPTION...]" ;;
    *) break ;;
    esac
    shift
done
[ $# -ge 1 ] || die 2 "usage: bash cluster/submit.sh [--dry-run] [--array N] JOB [RUN OPTION...]"
job=$1

# ---- what the plan takes ---------------------------------------------------------------------------------------------
seeds=()
output=
previous=
for word in "$@"; do
    case $previous,$word in
    --seeds,* | -s,*) seeds=(--seeds "$word") ;;
    *,--seeds=*) seeds=("$word") ;;
    -o,* | --output,*) output=$word ;;
    esac
    previous=$word
done
figures=$("$vqsweep" plan "$job" "${seeds[@]}" --figures) || exit $?
figure() { sed -n "s/^$1=//p" <<<"$figures"; }
core_seconds=$(figure core_seconds)
trials=$(figure trials)
[ "$tasks" -eq 0 ] || core_seconds=$((core_seconds / tasks + 1))
[ "$tasks" -eq 0 ] || trials=$((trials / tasks + 1))

# ---- the request -----------------------------------------------------------------------------------------------------
target=$((SITE_TARGET_HOURS * 3600))
nodes=$(((2 * core_seconds + target * SITE_CORES - 1) / (target * SITE_CORES)))
most=$(((trials + SITE_CORES - 1) / SITE_CORES)) # a node without a trial for each core is wasted
[ "$nodes" -le "$most" ] || nodes=$most
[ "$nodes" -le "$SITE_MOST_NODES" ] || nodes=$SITE_MOST_NODES
[ "$nodes" -ge 1 ] || nodes=1
threads=$((SITE_CORES / SITE_RANKS))
minutes=$(((2 * core_seconds / (nodes * SITE_CORES) + 2 * $(figure longest_trial_seconds)) / 60 + 10))
[ "$minutes" -le $((SITE_MOST_HOURS * 60)) ] || minutes=$((SITE_MOST_HOURS * 60))
megabytes=$((SITE_CORES * $(figure trial_bytes) * 5 / 4000000 + 1000 * SITE_RANKS))

request=(--job-name "$(figure name)" --nodes "$nodes" --ntasks-per-node "$SITE_RANKS" --cpus-per-task "$threads"
    --time "$minutes" --mem "${megabytes}M" --export ALL)
export VQSWEEP_ROOT=$root VQSWEEP_SITE=$site VQSWEEP=$vqsweep
[ -z "${SITE_PARTITION:-}" ] || request+=(--partition "$SITE_PARTITION")
[ -z "${SITE_ACCOUNT:-}" ] || request+=(--account "$SITE_ACCOUNT")
if [ "$tasks" -gt 0 ]; then
    [ -n "$output" ] || output=results/$(figure name).h5
    request+=(--array "1-$tasks")
    export VQSWEEP_OUTPUT=$output
    echo "submit.sh: afterwards: $vqsweep merge $output ${output%.h5}.*-of-$tasks.h5"
fi
read -ra more <<<"${SITE_SBATCH:-}"
echo "submit.sh: $trials trials, about $core_seconds core-seconds: $nodes nodes, $minutes minutes, $megabytes MB a node"
"${run[@]}" "${request[@]}" "${more[@]}" "$root/cluster/slurm.sbatch" "$@"
