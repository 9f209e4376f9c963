#!/usr/bin/env bash
# From a fresh Debian 12 to the seed study's tables: installs what is missing, builds, runs jobs/seed_study.yaml on all
# cores, prints the tables and writes the report. Run again, it goes on where it stopped, or finds nothing left to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/setup.sh

job=jobs/seed_study.yaml
result=results/seed_study.h5
report=results/seed_study_report
cores=$(nproc)

need "${packages[@]}"
stage "configure (build/release)" cmake --preset release
stage "build" cmake --build --preset release --parallel "$cores"

mkdir -p results
printf '%s\n' "run $job on $cores ranks, one thread each"
start=$SECONDS
code=0
mpirun.openmpi -n "$cores" build/release/vqsweep run "$job" -o "$result" --threads 1 || code=$?
[ $code -eq 0 ] || [ $code -eq 3 ] || exit $code # 3: some trials failed; the tables say which
printf '%-60s %4d s\n\n' "run" $((SECONDS - start))

/usr/bin/python3 analysis/tables.py "$result"
stage "report" /usr/bin/python3 analysis/report.py "$result" -o "$report"
cat <<END

The answer:  $PWD/$report/report.html    for a browser; figures and tables stand beside it
The results: $PWD/$result
  build/release/vqsweep show $result --trial 0    one trial
  analysis/tables.py $result --format markdown    the tables for a paper; csv for a program
  build/release/vqsweep verify $result            recomputes digests, runs some trials again
Next: README.md explains the file, and how to write a job of your own; jobs/smoke.yaml is a short one to start from.
END
exit $code
