#!/usr/bin/env bash
# The service at work: a private bus starts it, a profile is created with plain busctl, held, refused, and let go.
# AOR and REGISTRAR in the environment: a real account instead of the registrar of the tests; asks for its password.
set -eu

programs=$(cd "$(dirname "$0")/.." && pwd)/target/debug
here=$(mktemp -d)
pids=()
finish() {
    code=$?
    for pid in "${pids[@]}" $(cat "$here/service-pids" 2>/dev/null || true); do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$here"
    [ $code -eq 0 ] || echo "demo: failed"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
call() { busctl --system call org.sipprofiles "$@"; }
profile() { id=$1; shift; call "/org/sipprofiles/profile/$id" org.sipprofiles.Profile1 "$@"; }

# Waits until `$1` stands in the file `$2`; ten seconds at most.
await() {
    for _ in $(seq 200); do
        grep -q -- "$1" "$2" && return 0
        sleep 0.05
    done
    echo "demo: waited in vain for '$1'"
    return 1
}

say "A private bus, and nothing on it yet"
cat > "$here/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=$here/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>$here</servicedir>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
CONF
cat > "$here/start" <<START
#!/bin/sh
echo \$\$ >> "$here/service-pids"
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$here/bus"
exec "$programs/sip-profiled" --state-dir "$here/state" --runtime-dir "$here/run" --log warn
START
chmod +x "$here/start"
printf '[D-BUS Service]\nName=org.sipprofiles\nExec=%s/start\n' "$here" > "$here/org.sipprofiles.service"
dbus-daemon --config-file="$here/bus.conf" --nofork --print-address=9 9> "$here/address" 2> "$here/daemon.log" &
pids+=($!)
await unix: "$here/address"
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$here/bus"
unset DBUS_SESSION_BUS_ADDRESS

if [ -n "${AOR:-}" ]; then
    say "The account $AOR"
    id=$("$programs/sip-profiles" add "$AOR" ${REGISTRAR:+registrar="$REGISTRAR"})
    "$programs/sip-profiles" set-password "$id"
    "$programs/sip-profiles" hold "$id" -- sleep 10 && "$programs/sip-profiles" status "$id"
    say "demo: done"
    exit 0
fi

"$programs/sip-profiles-test-registrar" > "$here/registrar" &
pids+=($!)
await : "$here/registrar"
registrar=$(head -n 1 "$here/registrar")
echo "a registrar listens on $registrar"

say "busctl creates a profile; this first call starts the service"
call /org/sipprofiles org.sipprofiles.Registry1 CreateProfile 'a{sv}a{sv}' 3 \
    aor s alice@127.0.0.1 registrar s "$registrar" password s wonderland 0
"$programs/sip-profiles" watch > "$here/signals" &
pids+=($!)

say "Somebody holds it: it is registered"
"$programs/sip-profiles" hold 1 2> "$here/hold" &
holder=$!
pids+=("$holder")
await Registered "$here/hold"
profile 1 GetRegistration
"$programs/sip-profiles" list

say "kill -9 of the holder: it is de-registered"
kill -9 "$holder"
wait "$holder" 2>/dev/null || true
await "de-registers" "$here/registrar"
await "unregistering -> unregistered" "$here/signals"
cat "$here/signals"

say "A wrong password is sent once and is an error"
profile 1 Update 'a{sv}asa{sv}' 1 password s wrong 0 0
profile 1 Enable 'a{sv}' 1 wait u 10 && { echo "demo: a wrong password was taken"; exit 1; } || true
"$programs/sip-profiles" status 1

say "What the registrar was asked"
tail -n +2 "$here/registrar"

say "demo: done, all as it should be; nothing is left behind"
