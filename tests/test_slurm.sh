#!/usr/bin/env bash
# test_slurm.sh VQSWEEP: under a SLURM of its own, a sweep outlives its time limit by going back into the queue, and ends
# with the results of an undisturbed run; so do the shards of an array, merged. Skipped without root or SLURM.
set -euo pipefail
vqsweep=$(realpath "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for needed in munged slurmctld slurmd sbatch; do
    command -v $needed >/dev/null || {
        echo "skipped: there is no $needed (apt-get install munge slurm-wlm)"
        exit 77
    }
done
[ "$(id -u)" -eq 0 ] || {
    echo 'skipped: a SLURM of its own wants root'
    exit 77
}

box=$(mktemp -d /tmp/vqsweep-slurm-XXXXXX)
export SLURM_CONF=$box/slurm/slurm.conf
trap 'bash "$root/tests/slurm.sh" stop "$box/slurm"; rm -rf "$box"' EXIT
unset OPENBLAS_CORETYPE
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
bash "$root/tests/slurm.sh" start "$box/slurm"
cd "$box"

die() { # with what the jobs said
    echo "$1" >&2
    tail -n 40 "$box"/*.out >&2 || true
    tail -n 20 "$box"/slurm/slurmctld.log >&2 || true
    exit 1
}
queue_is_empty() { [ -z "$(squeue -h)" ]; }
wait_for_queue() { # wait_for_queue SECONDS
    local until=$((SECONDS + $1))
    until queue_is_empty; do
        [ $SECONDS -lt "$until" ] || die "the queue is not empty after $1 s"
        sleep 1
    done
}

cat >site.env <<SITE
SITE_CORES=$(nproc)
SITE_RANKS=1
SITE_MOST_NODES=1
SITE_MOST_HOURS=1
SITE_TARGET_HOURS=1
SITE_BINDING="--bind-to none"
SITE_SBATCH="--output=$box/job.%j.out --chdir=$box"
VQSWEEP=$vqsweep
SITE
export VQSWEEP_SITE=$box/site.env

# ---- an array of two shards, sized by its plan -----------------------------------------------------------------------
cat >shards.yaml <<JOB
name: shards
fixed: {D: 16, N: 512, epochs: 20, gap_restarts: 0}
grid: {K: [4, 8]}
seeds: 1..10
JOB
bash "$root/cluster/submit.sh" --array 2 "$box/shards.yaml" -o "$box/shards.h5"
wait_for_queue 120
"$vqsweep" merge shards.h5 shards.*-of-2.h5 || die 'the shards are not complete'
"$vqsweep" run shards.yaml -o whole.h5 -q
diff <("$vqsweep" show shards.h5) <("$vqsweep" show whole.h5) >/dev/null || die 'merged shards differ from the whole'
echo 'array of shards: same results'

# ---- one job, longer than its time limit -----------------------------------------------------------------------------
# Some 100 s of work, by the time that a shorter trial takes here, in slots of at most 60 s, of which USR1 takes the last 20
# and more. The trials are longer than what is left of a slot at times, so that they are saved and go on in the next.
long_job() { # long_job EPOCHS SEEDS
    cat <<JOB
name: long
fixed: {D: 64, d: 8, K: 128, N: 8192, gap_restarts: 0, epochs: $1}
seeds: $2
JOB
}
long_job 4000 1 >pilot.yaml
begin=$(date +%s%N)
"$vqsweep" run pilot.yaml -o pilot.h5 -q --threads 1
epochs=$((4000 * 12000000000 / ($(date +%s%N) - begin) + 1))
long_job $epochs 1..$((8 * $(nproc))) >long.yaml
VQSWEEP_ROOT=$root sbatch --parsable --time 1 --signal B:USR1@20 --ntasks 1 --cpus-per-task "$(nproc)" \
    --output "$box/long.out" --chdir "$box" "$root/cluster/slurm.sbatch" "$box/long.yaml" -o "$box/long.h5" --grace 10
wait_for_queue 1500
starts=$(grep -c '^slurm.sbatch: job .* start ' long.out)
[ "$starts" -ge 2 ] || die "the job was done in $starts start; it should outlive its time limit"
"$vqsweep" status long.h5 >/dev/null || die 'the job left the queue unfinished'
tail -n 1 long.out | grep -q 'exit code 0' || die 'the last start did not end with exit code 0'
"$vqsweep" run long.yaml -o undisturbed.h5 -q
diff <("$vqsweep" show long.h5) <("$vqsweep" show undisturbed.h5) >/dev/null ||
    die 'the results differ from those of an undisturbed run'
echo "requeue: $starts starts, same results"
