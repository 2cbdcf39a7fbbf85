#!/bin/sh
# Brings a node up to date over ssh: program, nats-server, unit, certificates, secret and settings, as they lie in this
# checkout. Running it again changes nothing that already is. README.md beside this file says when.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
deploy=$(dirname -- "$here")
repository=$(dirname -- "$deploy")
unit=unibus-membershipd.service
# Where to log in, and how long a node may take to come back.
user=${SSH_USER:-root}
patience=${WAIT:-120}
nats_server=${NATS_SERVER:-}
program=${MEMBERSHIPD:-$repository/target/release/membershipd}

usage() {
    cat <<END
Usage: deploy/cluster/install-node.sh [--check | --start | --restart | --reload | --move-in DATABASE] NODE

  --check     look whether the node can be started, and whether it reaches the others that run
  --start     start the node, and do not wait: the first one waits for another
  --restart   start it anew, and wait until it serves and has caught up
  --reload    have it take its certificates, without starting it anew; its clients connect once more
  --move-in   move the bus of a single machine into the cluster, from its DATABASE on the node; the node must be new

Variables: SSH_USER (root; any other needs sudo without a password there), WAIT (120 seconds), MEMBERSHIPD and NATS_SERVER
(the programs to install; by default the one in target/release, and the first nats-server in PATH)
END
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'install-node.sh: %s\n' "$*" >&2
    exit 1
}

# What nodes.env says: the node's first public address.
address_of() {
    key=$(say "$1" | tr 'abcdefghijklmnopqrstuvwxyz-' 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_')_PUBLIC
    sed -n "s/^$key=[\"']\{0,1\}\([^ \"']*\).*/\1/p" "$here/nodes.env"
}

on_node() {
    if [ "$user" = root ]; then
        ssh "$user@$address" "$@"
    else
        ssh "$user@$address" sudo "$@"
    fi
}

# Puts the named files of a directory into one of the node. An archive replaces files that are in use.
send() {
    from=$1
    to=$2
    mode=$3
    shift 3
    on_node mkdir -p -m "$mode" "$to"
    tar -C "$from" -cf - -- "$@" | on_node tar -C "$to" -xf - --no-same-owner
}

ask() {
    curl --silent --fail --max-time 5 --cacert "$deploy/tls/ca/bus-ca.crt" "https://$address:8470/$1"
}

serves() {
    ask readyz >/dev/null
}

# With one copy of everything there is nothing to catch up with.
is_whole() {
    grep -q '^KV_REPLICAS=["'\'']\{0,1\}1' "$here/nodes.env" || ask healthz | grep -q '"ha":true'
}

# The settings of the unit, with what its copies are made of.
settings() {
    sed -n 's/^Environment=//p' "$here/$unit" | sed 's#%d#/etc/unibus#; s#%t/unibus-keys#/etc/unibus#' | tr '\n' ' '
}

# Runs the program on the node as the unit would.
with_settings() {
    # shellcheck disable=SC2046 # one word for each setting
    on_node env $(settings) sh -c "'set -ea; . /etc/unibus/node.env
        if [ -f /etc/unibus/membershipd.env ]; then . /etc/unibus/membershipd.env; fi
        exec membershipd $*'"
}

# Waits until a command works.
wait_until() {
    left=$patience
    until "$@"; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 1
    done
}

action=
case ${1:-} in
--check | --start | --restart | --reload)
    action=${1#--}
    shift
    ;;
--move-in)
    action=move-in
    database=${2:-}
    [ $# -lt 2 ] || shift
    shift
    ;;
esac
if [ $# -ne 1 ] || [ "${1#-}" != "$1" ]; then
    usage >&2
    exit 2
fi
node=$1

case ${database-/} in
/*) ;;
*) fail "--move-in names the database by its whole path on the node, such as /root/old/unibus.db" ;;
esac
[ -f "$here/nodes.env" ] || fail "there is no $here/nodes.env: README.md begins with it"
address=$(address_of "$node")
[ -n "$address" ] || fail "$node is not in $here/nodes.env"
for directory in "$here/generated/$node" "$deploy/tls/$node"; do
    [ -d "$directory" ] || fail "there is no $directory: membershipd gen-cluster-certs and gen-bus-certs make it"
done
[ -x "$program" ] || fail "there is no $program: cargo build --release --locked --package membershipd"
if [ -z "$nats_server" ]; then
    nats_server=$(command -v nats-server) || fail "nats-server is needed, 2.11.1 or newer: put it into PATH or NATS_SERVER"
fi

say "installing $node ($address)"
send "$here/generated/$node" /etc/unibus 700 route.crt route.key cluster-ca.crt route.secret node.env
send "$deploy/tls/$node" /etc/unibus 700 server.crt server.key bus-ca.crt
send "$(dirname -- "$program")" /usr/local/bin 755 "$(basename -- "$program")"
send "$(dirname -- "$nats_server")" /usr/local/bin 755 "$(basename -- "$nats_server")"
send "$here" /etc/systemd/system 755 "$unit"
on_node systemctl daemon-reload

case $action in
check)
    with_settings doctor --db /var/lib/unibus/local_files/unibus.db ||
        fail "$node would not do what it is for: mend what is said above, and check again"
    ;;
start)
    on_node systemctl enable --quiet "$unit"
    on_node systemctl start --no-block "$unit"
    say "$node was started"
    ;;
move-in)
    # The service manager gives the directory to the service's user when that starts.
    with_settings migrate-to-kv --db /var/lib/private/unibus/local_files/unibus.db --from "$database" --blobs --streams
    ;;
restart)
    log="ssh $user@$address journalctl -u $unit"
    on_node systemctl enable --quiet "$unit"
    # Returns when it is ready, which may be never.
    on_node timeout "$patience" systemctl restart "$unit" || fail "$node does not start; see $log"
    wait_until serves || fail "$node does not serve after $patience seconds; see $log"
    wait_until is_whole || fail "$node serves and has not caught up: see https://$address:8470/healthz, and restart no other node"
    say "$node serves"
    ;;
reload)
    on_node systemctl reload "$unit"
    # Waits for its turn, and for what the signal has begun.
    on_node /usr/local/bin/membershipd cluster reload --db /var/lib/unibus/local_files/unibus.db ||
        fail "$node keeps the certificates that it had; see ssh $user@$address journalctl -u $unit"
    wait_until serves || fail "$node does not serve after $patience seconds; see ssh $user@$address journalctl -u $unit"
    ;;
esac
