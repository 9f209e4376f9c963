#!/usr/bin/env bash
# A private SLURM on this machine, one node, as root, without systemd and cgroups: slurm.sh start|stop FOLDER
# Everything it has is in FOLDER, munge's key and socket included. Then: export SLURM_CONF=FOLDER/slurm.conf
set -euo pipefail
command=$1
folder=$(realpath -m "$2")
export SLURM_CONF=$folder/slurm.conf

wait_for() { # wait_for COMMAND...: up to 10 s
    for _ in {1..100}; do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "slurm.sh: in vain: $*" >&2
    return 1
}
idle() { sinfo -h -o %t | grep -qx idle; }

configure() {
    local host cpus memory port
    host=$(hostname -s)
    cpus=$(nproc)
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    port=$((20000 + $$ % 20000))
    cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.sock
CredType=cred/munge
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
MailProg=/bin/true
KillWait=5
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    echo CgroupPlugin=cgroup/v1 >"$folder/cgroup.conf" # never used, but to look for one ends slurmd where there is none
}

start() {
    mkdir -p "$folder"/{state,spool}
    chmod 755 "$folder"
    head -c 1024 /dev/urandom >"$folder/munge.key"
    chmod 600 "$folder/munge.key"
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.sock" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
    wait_for munge -S "$folder/munge.sock" -n
    configure
    slurmctld -c
    slurmd
    wait_for idle
}

stop() {
    local pid
    scancel -u root 2>/dev/null || true
    for pid in "$folder"/slurmd.pid "$folder"/slurmctld.pid "$folder"/munged.pid; do
        if [ -s "$pid" ]; then kill "$(cat "$pid")" 2>/dev/null || true; fi
        for _ in {1..50}; do # each removes its own
            [ -e "$pid" ] || break
            sleep 0.1
        done
    done
}

case $command in
start) start ;;
stop) stop ;;
*) exit 2 ;;
esac
