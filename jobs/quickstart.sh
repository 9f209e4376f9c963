#!/usr/bin/env bash
# bash jobs/quickstart.sh [JOB...]
# From a fresh Debian 12 to an answer: installs what is missing, builds, runs jobs/JOB.yaml on all cores and writes its
# report. JOB is seed_study where none is given; images, audio and text are of real data, which packages bring. Run
# again, it goes on where it stopped, or finds nothing left to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/setup.sh

[ $# -gt 0 ] || set -- seed_study
set -- "${@%.yaml}"
for job in "$@"; do
    [ -f "jobs/$job.yaml" ] || die 4 "quickstart: there is no jobs/$job.yaml; name one of: $(cd jobs && echo *.yaml)"
    [ -z "${data_packages[$job]:-}" ] || packages+=("${data_packages[$job]}")
done
cores=$(nproc)

need "${packages[@]}"
stage "configure (build/release)" cmake --preset release
stage "build" cmake --build --preset release --parallel "$cores"

worst=0
mkdir -p results
for job in "$@"; do
    result=results/$job.h5
    report=results/${job}_report
    printf '%s\n' "run jobs/$job.yaml on $cores ranks, one thread each"
    start=$SECONDS
    code=0
    mpirun.openmpi -n "$cores" build/release/vqsweep run "jobs/$job.yaml" -o "$result" --threads 1 || code=$?
    [ $code -eq 0 ] || [ $code -eq 3 ] || exit $code # 3: some trials failed; the report says which
    [ $code -eq 0 ] || worst=$code
    printf '%-60s %4d s\n\n' "run" $((SECONDS - start))

    [ "$job" != seed_study ] || /usr/bin/python3 analysis/tables.py "$result"
    stage "report" /usr/bin/python3 analysis/report.py "$result" -o "$report"
    cat <<END

The answer:  $PWD/$report/report.html    for a browser; figures and tables stand beside it
The results: $PWD/$result
  build/release/vqsweep show $result --trial 0    one trial
  build/release/vqsweep verify $result            recomputes digests, runs some trials again
END
done
cat <<END

Next: README.md explains the file, and how to write a job of your own; jobs/smoke.yaml is a short one to start from.
END
exit $worst
