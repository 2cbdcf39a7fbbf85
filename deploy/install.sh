#!/bin/sh
# Runs membershipd as a service of this user: builds it, links the unit beside this file, starts it, and returns when
# the bus answers. Running it again brings everything up to date and changes nothing that already is. README.md has more.
set -eu

unit=unibus-membershipd.service
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
repository=$(dirname -- "$here")
# What the unit says with %h.
binary=$HOME/.local/bin/membershipd
state=$HOME/.local/share/unibus
settings=$HOME/.config/unibus/membershipd.env
link=$HOME/.config/systemd/user/$unit
# What was started from here: says that the service is this script's to change and to remove.
installed=$state/installed

usage() {
    cat <<END
Usage: deploy/install.sh [--binary FILE] [--wait SECONDS]
       deploy/install.sh --uninstall

  --binary FILE    install this membershipd instead of building one
  --wait SECONDS   how long the bus may take to answer after its start (default 60)
  --uninstall      stop the service and remove what was installed; data and settings stay

Settings of the service are read from $settings
END
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

wrong_usage() {
    printf 'install.sh: %s\n\n' "$*" >&2
    usage >&2
    exit 2
}

need() {
    command -v "$1" >/dev/null 2>&1 || fail "$1 is needed: $2"
}

manager() {
    systemctl --user "$@"
}

log() {
    journalctl --user --unit "$unit" "$@"
}

check_manager() {
    need systemctl "this runs a service of systemd; without it start membershipd from whatever starts your services"
    manager show-environment >/dev/null 2>&1 || fail "your service manager cannot be reached. Log in as this user itself \
(not with su or sudo), or have it run without a login: sudo loginctl enable-linger $(id -un), then set \
XDG_RUNTIME_DIR=/run/user/$(id -u)"
}

# Sets $built to a membershipd that runs on this machine.
build() {
    if [ -n "$given" ]; then
        [ -f "$given" ] || fail "$given is not a file: name a membershipd with --binary"
        built=$given
    else
        need cargo "install Rust (https://rustup.rs), or name a finished program with --binary FILE"
        say "building membershipd"
        (cd -- "$repository" && cargo build --release --locked --package membershipd) ||
            fail "membershipd was not built; nothing was changed"
        # A relative CARGO_TARGET_DIR is relative to where cargo ran.
        case ${CARGO_TARGET_DIR:-target} in
        /*) built=$CARGO_TARGET_DIR/release/membershipd ;;
        *) built=$repository/${CARGO_TARGET_DIR:-target}/release/membershipd ;;
        esac
    fi
    "$built" --version >/dev/null 2>&1 || fail "$built does not run on this machine; nothing was changed"
}

# NAME=value of the unit, then of the file with this machine's settings, as the service manager reads them.
assignments() {
    sed -n 's/^Environment=//p' "$here/$unit"
    if [ -f "$settings" ]; then
        sed -n -e 's/^[[:space:]]*\(UNIBUS_[A-Z0-9_]*=.*[^[:space:]]\)[[:space:]]*$/\1/' \
            -e "s/^\([A-Z0-9_]*\)=\"\(.*\)\"\$/\1=\2/" -e "s/^\([A-Z0-9_]*\)='\(.*\)'\$/\1=\2/" \
            -e '/^UNIBUS_/p' "$settings"
    fi
}

# Checks the settings before anything is changed, and finds out where the bus will answer: $address and $port.
check_settings() {
    set --
    while IFS= read -r assignment; do
        set -- "$@" "$assignment"
    done <<END
$(assignments)
END
    # Nothing else from this shell: the service will not have it either.
    effective=$(cd -- "$state" && env -i HOME="$HOME" PATH="$PATH" "$@" "$built" config check) ||
        fail "nothing was installed; mend the settings in $settings"
    port=$(say "$effective" | sed -n 's/^\(# \)\{0,1\}http_port = "\{0,1\}\([0-9]*\).*/\2/p')
    address=$(say "$effective" | sed -n 's/^\(# \)\{0,1\}bind = "\{0,1\}\([0-9a-zA-Z.:]*\).*/\2/p')
    [ "${port:-0}" != 0 ] || fail "a service needs a port that is known: set UNIBUS_HTTP_PORT in $settings"
    case $address in
    0.0.0.0) address=127.0.0.1 ;;
    ::) address='[::1]' ;;
    *:*) address="[$address]" ;;
    esac
}

make_directories() {
    for directory in "$state" "$(dirname -- "$settings")"; do
        [ -d "$directory" ] || (umask 077 && mkdir -p -- "$directory") || fail "$directory cannot be made"
    done
    mkdir -p -- "$(dirname -- "$binary")" "$(dirname -- "$link")"
}

# Sets $changed when what runs is not what should.
install_binary() {
    if cmp -s -- "$built" "$binary"; then
        return 0
    fi
    # Put in place in one step: the one that runs keeps its file until it is started again.
    if ! { cp -- "$built" "$binary.new" && chmod 755 "$binary.new" && mv -f -- "$binary.new" "$binary"; }; then
        fail "$binary cannot be written"
    fi
    changed=yes
    say "installed $binary ($("$binary" --version))"
}

link_unit() {
    if [ -L "$link" ]; then
        [ "$(readlink -- "$link")" = "$here/$unit" ] || say "the unit was linked from $(readlink -- "$link")"
    elif [ -e "$link" ]; then
        fail "$link is a file of yours, not a link: move it away first, its settings belong in $settings"
    fi
    ln -sfn -- "$here/$unit" "$link"
}

# The unit and the settings as they were when the service was last started from here.
remember() {
    cat -- "$here/$unit" "$settings" 2>/dev/null | cksum
}

start() {
    manager daemon-reload
    manager enable "$unit" >/dev/null 2>&1 || fail "$unit cannot be enabled: systemctl --user enable $unit says why"
    if [ "$(remember)" != "$(cat -- "$installed" 2>/dev/null)" ]; then
        changed=yes
    fi
    if [ "$changed" = no ] && manager is-active --quiet "$unit"; then
        say "$unit is up to date"
        return 0
    fi
    say "starting $unit"
    manager restart "$unit" || show_log "$unit does not start"
    remember >"$installed"
}

# Whether the bus answers; sets $url to where. Yes or no is all that is asked, on this machine, so it does not matter here
# which certificate it shows.
answers() {
    for scheme in https http; do
        url=$scheme://$address:$port
        if curl --silent --fail --insecure --max-time 5 --output /dev/null "$url/healthz"; then
            return 0
        fi
    done
    return 1
}

wait_for_health() {
    left=$patience
    until answers; do
        manager is-active --quiet "$unit" || [ "$left" -gt $((patience - 3)) ] || show_log "$unit has ended"
        [ "$left" -gt 0 ] || show_log "$unit does not answer on port $port of $address after $patience seconds"
        left=$((left - 1))
        sleep 1
    done
    say "the bus answers at $url/healthz"
}

show_log() {
    printf '%s\n' "The last lines of its log:" >&2
    log --lines 20 --no-pager >&2 || true
    fail "$1; mend what its log names and run this again"
}

say_what_next() {
    say "its log:    journalctl --user --unit $unit --follow"
    say "its data:   $state/local_files"
    say "first user: $binary user add --role admin --card CARD --db $state/local_files/unibus.db"
    if command -v loginctl >/dev/null 2>&1 &&
        [ "$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)" = no ]; then
        say "The bus stops when you log out. To keep it running: sudo loginctl enable-linger $(id -un)"
    fi
}

install_service() {
    check_manager
    need curl "to ask the bus whether it is well"
    build
    make_directories
    check_settings
    changed=no
    install_binary
    link_unit
    start
    wait_for_health
    say_what_next
}

uninstall_service() {
    check_manager
    if [ ! -L "$link" ] && [ ! -e "$installed" ]; then
        say "nothing is installed"
        return 0
    fi
    if [ -e "$link" ] && [ ! -L "$link" ]; then
        fail "$link is a file of yours, not a link of this script: it stays, and so does the service"
    fi
    if [ -L "$link" ]; then
        say "stopping $unit"
        manager disable --now "$unit" || fail "$unit cannot be stopped; nothing was removed"
        rm -f -- "$link"
        manager daemon-reload
    fi
    if [ -e "$installed" ]; then
        rm -f -- "$binary" "$installed"
    fi
    say "removed; data and settings stay in $state and $(dirname -- "$settings")"
}

given=
patience=60
action=install_service
while [ $# -gt 0 ]; do
    case $1 in
    --binary)
        [ $# -ge 2 ] || wrong_usage "--binary needs a file"
        given=$2
        shift
        ;;
    --wait)
        [ $# -ge 2 ] || wrong_usage "--wait needs a number of seconds"
        case $2 in
        '' | *[!0-9]*) wrong_usage "--wait needs a number of seconds, not \"$2\"" ;;
        esac
        patience=$2
        shift
        ;;
    --uninstall) action=uninstall_service ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) wrong_usage "unknown option $1" ;;
    esac
    shift
done
$action
