# shellcheck shell=bash disable=SC2034 # the variables are for the script that sources this
# Shared by jobs/quickstart.sh, tests/run.sh and tests/bench/run.sh, to be sourced: the packages, the stages, and what
# mpirun needs to know.

# ---- packages: what vqsweep stands on, each with its reason ----------------------------------------------------------
packages=(
    build-essential    # gcc and make
    cmake              # the build
    pkg-config         # finds the libraries below
    libopenmpi-dev     # MPI: trials are handed to ranks
    openmpi-bin        # mpirun.openmpi
    libhdf5-dev        # the result file
    libopenblas-dev    # matrix products
    libyaml-dev        # job files
    libxxhash-dev      # trial keys, digests, checksums
    librandom123-dev   # counter-based random numbers
    libsleef-dev       # vectorised logarithm, sine and cosine
    zlib1g-dev         # gzipped data files
    libpng-dev         # data from images: PNG ...
    libjpeg62-turbo-dev # ... and JPEG
    libsndfile1-dev    # data from recordings: WAV and FLAC
    check              # unit tests; the build makes them too
    python3-h5py       # analysis: reads the result file
    python3-numpy      # analysis: arithmetic
    python3-pandas     # analysis: one row per trial
    python3-scipy      # analysis: tests and intervals
    python3-matplotlib # analysis: figures of the report
    python3-jinja2     # analysis: the report's page
    python3-yaml       # analysis: the contrasts that a job declares
    python3-xxhash     # analysis: checksums in the journal of a run that goes on
)
test_packages=( # what tests/run.sh wants besides
    python3-xarray     # the result file opens in xarray ...
    python3-h5netcdf   # ... through this engine
    hdf5-tools         # ... in h5dump
    netcdf-bin         # ... and in ncdump
    python3-pil        # reads images as the program should
    shellcheck         # reads these scripts
    chromium-driver    # reads the report as a person does, in chromium
)
declare -A data_packages=( # what brings the data of a job, by its name
    [images]=python3-sklearn # photographs and hand-written digits
    [audio]=alsa-utils       # recordings of a voice
)
# Not installed: python3-torch, which the benchmarks compare with; and ninja-build; make will do.

die() { # die EXIT_CODE TEXT
    printf '%s\n' "$2" >&2
    exit "$1"
}

as_root=()

# need PACKAGE...: installs what is missing. Without apt or the right to use it: one line and exit code 7.
need() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        die 7 "set-up: this is not a Debian system; install the equivalents of: $*"
    fi
    local installed package missing=()
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null || true)
    for package in "$@"; do
        grep -qE "^.i +$package\$" <<<"$installed" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local advice="missing packages; install them with: apt-get update && apt-get install -y ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
        sudo -n true 2>/dev/null || die 7 "set-up: $advice (as root)"
    fi
    stage "install ${#missing[@]} packages with apt" apt_install "${missing[@]}" || die 7 "set-up: $advice"
}

apt_install() { # first with the package lists at hand; a bare or old machine needs new ones
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@")
    "${as_root[@]}" "${install[@]}" || { "${as_root[@]}" apt-get update && "${as_root[@]}" "${install[@]}"; }
}

# stage NAME COMMAND...: runs it quietly and prints one line with its seconds; when it fails, also its last words.
stage() {
    local name=$1 start=$SECONDS log code=0
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || code=$?
    printf '%-60s %4d s%s\n' "$name" $((SECONDS - start)) "$([ $code -eq 0 ] || echo "  FAILED")"
    [ $code -eq 0 ] || tail -n 40 "$log" >&2
    rm -f "$log"
    return $code
}

# ---- Open MPI on any machine -----------------------------------------------------------------------------------------
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # containers know no other user
export OMPI_MCA_rmaps_base_oversubscribe=1                       # tests run more ranks than there are cores
export OMPI_MCA_hwloc_base_binding_policy=none                   # else a rank's threads share one core
export OMPI_MCA_btl_vader_single_copy_mechanism=none             # containers often forbid reading another process
