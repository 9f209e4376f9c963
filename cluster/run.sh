#!/usr/bin/env bash
# Runs a sweep under mpirun and sees it through: bash cluster/run.sh [MPIRUN OPTION...] -- JOB [RUN OPTION...]
#
#   bash cluster/run.sh -n 8 -- jobs/seed_study.yaml -o results/seed_study.h5
#
# mpirun ends a whole job when one rank dies, and with --enable-recovery it has no exit code to trust and may never end.
# So: mpirun gets the options under which a run goes on without the ranks or hosts that die; rank 0 keeps a line in
# FILE.state (src/supervisor.h); a hanging mpirun is ended once that says how the run came out, or has grown old; and
# the run is started again when a loss stopped it. What is finished is never run twice. SIGINT, SIGTERM, SIGUSR1 and
# SIGHUP stop the run as they stop vqsweep: what is running is finished or saved, and a second one does not wait.
#
# Exit code: that of vqsweep run (0 complete, 2 bad job, 3 some trials failed, 75 unfinished), or 70 when several starts
# in a row brought nothing new.
#
# In the environment: VQSWEEP and MPIRUN, the programs. Seconds: VQSWEEP_START_LIMIT, from mpirun to the first trial
# (600); VQSWEEP_STALE, without a sign of rank 0 (300); VQSWEEP_PART, for mpirun to end after rank 0 (10).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
vqsweep=${VQSWEEP:-$here/build/release/vqsweep}
mpirun=${MPIRUN:-mpirun.openmpi}
start_limit=${VQSWEEP_START_LIMIT:-600}
stale=${VQSWEEP_STALE:-300}
part=${VQSWEEP_PART:-10}
fruitless_limit=3

die() { # die EXIT_CODE TEXT
    printf 'run.sh: %s\n' "$2" >&2
    exit "$1"
}

# ---- the command line ------------------------------------------------------------------------------------------------
launch=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    launch+=("$1")
    shift
done
[ $# -ge 2 ] || die 2 "usage: bash cluster/run.sh [MPIRUN OPTION...] -- JOB [RUN OPTION...]"
shift
job=$1
command -v "$mpirun" >/dev/null || die 7 "there is no $mpirun; set MPIRUN to Open MPI's mpirun"
[ -x "$vqsweep" ] || die 7 "there is no program $vqsweep; build it, or set VQSWEEP"

file=
previous=
for word in "$@"; do
    case $previous,$word in
    -o,* | --output,*) file=$word ;;
    *,--output=*) file=${word#--output=} ;;
    *,-o?*) file=${word#-o} ;;
    esac
    previous=$word
done
if [ -z "$file" ]; then
    [ -r "$job" ] || die 2 "$job: cannot read the job"
    file=results/$(sed -nE 's/^name: *"?([^"#]*[^"# ])"? *(#.*)?$/\1/p' "$job" | head -n 1).h5
fi
mkdir -p "$(dirname "$file")"
state=$file.state

# ---- one start of mpirun ---------------------------------------------------------------------------------------------
# A host that is gone is noticed after some 10 s in place of minutes.
keepalive=(--mca oob_tcp_keepalive_time 4 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3)
pid=
stopping=

forward() { # USR1 reaches every rank; INT and TERM would make mpirun kill them
    stopping=yes
    [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null || true
}
trap forward INT TERM USR1 HUP

alive() { kill -0 "$pid" 2>/dev/null; }

age() { # of the state file, in seconds
    echo $(($(date +%s) - $(stat -c %Y "$state" 2>/dev/null || echo "$1")))
}

end_mpirun() { # end_mpirun SECONDS: lets it end by itself for so long
    local until=$((SECONDS + $1)) signal
    for signal in TERM KILL; do
        while alive && [ $SECONDS -lt "$until" ]; do sleep 0.1; done
        ! alive || kill -s "$signal" "$pid" 2>/dev/null || true
        until=$((SECONDS + 5))
    done
    wait "$pid" 2>/dev/null || true
}

start_and_watch() {
    local began word
    began=$(date +%s)
    rm -f "$state"
    setsid "$mpirun" --enable-recovery "${keepalive[@]}" -x VQSWEEP_STATE="$state" "${launch[@]}" \
        "$vqsweep" run "$@" </dev/null &
    pid=$!
    while alive; do
        sleep 0.2
        word=$(cut -d' ' -f1 "$state" 2>/dev/null || true)
        case $word in
        exit | restart)
            end_mpirun "$part"
            break
            ;;
        running) [ "$(age "$began")" -le "$stale" ] || break ;;
        *) [ "$(age "$began")" -le "$start_limit" ] || break ;;
        esac
    done
    end_mpirun 0
    pid=
}

# ---- again and again -------------------------------------------------------------------------------------------------
# Results and failed attempts so far: when this changes, a start brought something.
progress() { stat -c %s "$file.journal" 2>/dev/null || true; }

fruitless=0
while true; do
    before=$(progress)
    start_and_watch "$@"
    read -r word code 2>/dev/null <"$state" || word=
    rm -f "$state"
    [ "$word" != exit ] || exit "$code"
    [ -z "$stopping" ] || exit 75
    if [ "$(progress)" = "$before" ]; then
        fruitless=$((fruitless + 1))
    else
        fruitless=0
    fi
    [ $fruitless -lt $fruitless_limit ] ||
        die 70 "$fruitless_limit starts in a row brought nothing new to $file; see what is said above"
    echo "run.sh: the run was cut short; starting it again" >&2
    sleep $fruitless
done
