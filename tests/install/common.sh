# shellcheck shell=bash
# For the scripts that run in the clean Debian.

# Says whether the command succeeds: `check "what is seen" command…`.
check() {
    local what=$1
    shift
    if "$@" >/tmp/check 2>&1; then
        echo "ok: $what"
    else
        echo "FAILED: $what"
        echo "    $*"
        sed 's/^/    /' /tmp/check | tail -n 15
    fi
}

fails() { ! "$@"; }

# Succeeds as soon as the command does, within `$1` seconds.
within() {
    local tries=$(($1 * 10))
    shift
    for _ in $(seq "$tries"); do
        "$@" && return 0
        sleep 0.1
    done
    return 1
}

exec_as() {
    local user=$1
    shift
    exec setpriv --reuid="$user" --regid="$user" --init-groups env HOME=/tmp "$@"
}

as() { (exec_as "$@"); }

# The process that owns the name; nothing when there is none.
service() {
    dbus-send --system --print-reply=literal --dest=org.freedesktop.DBus / \
        org.freedesktop.DBus.GetConnectionUnixProcessID string:org.sipprofiles 2>/dev/null | sed -n 's/^ *uint32 //p'
}

runs() { [ -n "$(service)" ]; }
gone() { [ -z "$(service)" ] && ! pidof sip-profiled >/dev/null; }
changed_from() { runs && [ "$(service)" != "$1" ]; }
property() { as alice busctl get-property org.sipprofiles "/org/sipprofiles/profile/$1" org.sipprofiles.Profile1 "$2"; }
is() { [ "$(property "$1" "$2")" = "$3" ]; }

# A registrar that takes any account with the password `wonderland`.
start_registrar() {
    /test/sip-profiles-test-registrar >/tmp/registrar 2>&1 &
    within 10 grep -q : /tmp/registrar
    registrar=$(head -n 1 /tmp/registrar)
}

farewells() { grep -c ' de-registers ' /tmp/registrar; }
# A client's question may have started the service once more meanwhile: then there are two.
farewell_is_last() { tail -n 1 /tmp/registrar | grep ' de-registers '; }
