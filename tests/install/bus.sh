#!/usr/bin/env bash
# A machine with a system bus and no systemd running: the bus starts the service by its setuid helper.
set -u
. /test/common.sh

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends "$@"; }
files() {
    find / -xdev ! -path '/proc/*' ! -path '/tmp/*' ! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' \
        ! -path '/var/cache/*' ! -path '/var/log/*' ! -path '/run/*' ! -path '/etc/*-' -printf '%p %u\n' | sort
}

useradd alice
useradd bob
dbus-uuidgen --ensure
mkdir -p /run/dbus
dbus-daemon --system --nofork >/tmp/bus-log 2>&1 &
within 10 test -S /run/dbus/system_bus_socket
files >/tmp/before

check "the packages install" apt install /packages/*.deb
check "nothing runs after that" gone

check "H1: a user's first call starts the service" as alice sip-profiles list
check "it runs as its own user" grep -q "^Uid:.*$(id -u sip-profiles)" "/proc/$(service)/status"
check "its state is its own" test "$(stat -c '%U %a' /var/lib/sip-profiles)" = "sip-profiles 700"
check "nobody else takes its name" fails as bob busctl --timeout=5 call org.freedesktop.DBus /org/freedesktop/DBus \
    org.freedesktop.DBus RequestName su org.sipprofiles 0

start_registrar
check "a user creates a profile" as alice sip-profiles add alice@127.0.0.1 registrar="$registrar"
printf wonderland | as alice sip-profiles set-password 1
check "another user does not see it" fails as bob sip-profiles show 1
(exec_as alice sip-profiles hold 1) 2>/tmp/hold &
holder=$!
check "held, it is registered" within 10 is 1 State 's "registered"'

before=$(service)
check "an upgrade under a holder installs" apt install /newer/*.deb
check "it brings a new service" within 10 changed_from "$before"
check "L3: the profile is registered and held as before" within 10 is 1 Users 'u 1'
check "the registrar has heard no farewell" test "$(farewells)" = 0
check "state is registered" within 10 is 1 State 's "registered"'

as alice sip-profiles watch >/tmp/watch 2>&1 &
check "removal of all three, with a holder and a watcher" apt remove sip-profiled sip-profiles sip-profiles-tray
check "leaves no daemon" within 6 gone
check "the registrar has heard the farewell" farewell_is_last
check "and no way to start one" fails dbus-send --system --print-reply --dest=org.sipprofiles / \
    org.freedesktop.DBus.Peer.Ping
check "it keeps the profiles" test -e /var/lib/sip-profiles/profiles/1.json
kill "$holder" 2>/dev/null
check "purge" dpkg --purge sip-profiled sip-profiles sip-profiles-tray
files >/tmp/after
check "leaves nothing but the system user" diff /tmp/before /tmp/after
rm -f /tmp/hold /tmp/watch /tmp/registrar
