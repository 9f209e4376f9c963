#!/usr/bin/env bash
# Pretend machines on one Linux box, for mpirun (root; iproute2 and util-linux): each has its own network behind a
# bridge, host name, /dev/shm and /etc/hosts. Files are shared, as on NFS.
#
#   pretend_hosts.sh up N         make the machines n1 .. nN, and print the network they are on
#   pretend_hosts.sh off HOST     the power goes: no process there says goodbye, and nothing answers any more
#   pretend_hosts.sh on HOST      and comes back
#   pretend_hosts.sh down         all of it is gone
#   pretend_hosts.sh HOST WORDS   what mpirun's plm_rsh_agent calls: run words on a machine, as ssh would
#
# PRETEND_HOSTS names the folder that holds their state. Names and network follow from the number in its file `id`, so
# that several sets live side by side.
set -euo pipefail
folder=${PRETEND_HOSTS:?names the folder of the pretend machines}
[ -s "$folder/id" ] || { mkdir -p "$folder" && echo $$ >"$folder/id"; }
id=$(($(cat "$folder/id") % 10000))
bridge=vqb$id
net=10.$((100 + id / 100)).$((id % 100))

number() { echo "${1#n}"; }
space() { echo "vqs$id-$(number "$1")"; } # its network namespace
cable() { echo "vqc$id-$(number "$1")"; } # our end of its cable

on() { # on HOST
    local space cable i
    space=$(space "$1") cable=$(cable "$1") i=$(number "$1")
    ip netns add "$space"
    ip link add "$cable" type veth peer name veth0 netns "$space"
    ip link set "$cable" master "$bridge" up
    ip -n "$space" link set lo up
    ip -n "$space" link set veth0 up
    ip -n "$space" addr add "$net.$i/24" dev veth0
    # one process keeps its other namespaces alive
    setsid ip netns exec "$space" unshare --mount --uts --ipc sh -c \
        "hostname n$i; mount -t tmpfs none /dev/shm; mount --bind '$folder/hosts' /etc/hosts; echo up >'$folder/n$i.up'
         exec sleep infinity" </dev/null >/dev/null 2>&1 &
    echo $! >"$folder/n$i.pid"
    while [ ! -s "$folder/n$i.up" ]; do sleep 0.02; done
    rm "$folder/n$i.up"
}

off() { # off HOST: the cable first, so that no FIN or RST tells anyone; then every process; then the network
    local space cable
    space=$(space "$1") cable=$(cable "$1")
    ip link set "$cable" down
    rm -f "$folder/$1.pid"
    ip netns pids "$space" | xargs -r kill -9 2>/dev/null || true
    sleep 0.1
    ip link del "$cable" || true
    ip netns del "$space"
}

up() { # up N
    local i
    ip link add "$bridge" type bridge
    ip addr add "$net.254/24" dev "$bridge"
    ip link set "$bridge" up
    {
        echo "127.0.0.1 localhost"
        echo "$net.254 $(hostname -s)"
        for i in $(seq "$1"); do echo "$net.$i n$i"; done
    } >"$folder/hosts"
    for i in $(seq "$1"); do on "n$i"; done
    echo "$net.0/24"
}

down() {
    local file
    for file in "$folder"/n*.pid; do
        [ ! -e "$file" ] || off "$(basename "$file" .pid)"
    done
    ip link del "$bridge" 2>/dev/null || true
    rm -rf "$folder"
}

as_ssh() { # as_ssh HOST WORDS
    local host=$1 code=0
    shift
    [ -e "$folder/$host.pid" ] || { sleep 1 && exit 255; } # no route
    nsenter -t "$(cat "$folder/$host.pid")" -n -m -u -i --wd="$PWD" bash -c "$*" || code=$?
    # when the far machine is gone, not just the command, ssh hangs rather than tell mpirun
    while [ $code -gt 128 ] && [ ! -e "$folder/$host.pid" ]; do sleep 1; done
    exit $code
}

case ${1:?} in
up | on | off | down) "$@" ;;
*) as_ssh "$@" ;;
esac
