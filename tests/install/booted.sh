#!/usr/bin/env bash
# What is seen in the clean Debian when systemd runs it; `$1` says at which boot.
set -u
. /test/common.sh

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends "$@"; }
active() { systemctl is-active --quiet sip-profiled; }
said() { journalctl -q -b -o cat -u sip-profiled | grep -q -- "$1"; }
status_is() { grep -Eq "^$1:[[:space:]]*$2$" "/proc/$(service)/status"; }
exposure() { systemd-analyze security sip-profiled.service | sed -n 's/.*Overall exposure level.*: \([0-9.]*\).*/\1/p'; }
conditions() { systemctl show -P ConditionResult sip-profiled-boot; }

packages_and_activation() {
    check "the packages install under systemd" apt install /packages/*.deb
    check "nothing runs after that" gone
    check "L5: the boot unit is enabled" systemctl is-enabled sip-profiled-boot
    check "the units are clean" systemd-analyze verify --man=no sip-profiled.service sip-profiled-boot.service
    check "H1: a user's first call starts the unit" as alice sip-profiles list
    check "it is active" active
    echo "the sandbox's exposure level: $(exposure)"
    check "which is below 2.0" test "$(exposure | tr -d .)" -lt 20
    check "no capabilities" status_is CapBnd 0+
    check "no new privileges" status_is NoNewPrivs 1
    check "system calls are filtered" status_is Seccomp 2
}

# Holds profile 1; the holder is `$holder`.
hold() {
    (exec_as alice sip-profiles hold 1) 2>>/test/hold &
    holder=$!
}

# May the service ask polkit about the holder's bus name?
may_ask_polkit() {
    local name
    name=$(as alice busctl -j call org.sipprofiles /org/sipprofiles/profile/1 org.sipprofiles.Profile1 ListUsers |
        grep -o ':[0-9]*\.[0-9]*' | head -n 1)
    as sip-profiles busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority \
        org.freedesktop.PolicyKit1.Authority CheckAuthorization '(sa{sv})sa{ss}us' \
        system-bus-name 1 name s "$name" org.sipprofiles.use-shared 0 0 ''
}

polkit() {
    check "polkit knows use-shared: yes for who sits there" \
        sh -c 'pkaction --verbose --action-id org.sipprofiles.use-shared | grep "implicit active: *yes"'
    for action in manage-shared force-disable; do
        check "polkit knows $action: an administrator's password" \
            sh -c "pkaction --verbose --action-id org.sipprofiles.$action | grep 'implicit active: *auth_admin_keep'"
    done
    check "the service may ask polkit about others" may_ask_polkit
}

work_and_upgrade() {
    local before
    check "a user creates a profile" as alice sip-profiles add alice@127.0.0.1 registrar="$registrar"
    printf wonderland | as alice sip-profiles set-password 1
    check "the password on the disk is sealed" sh -c \
        'grep -q sealed /var/lib/sip-profiles/secrets/1.*.json && ! grep -q wonderland /var/lib/sip-profiles/secrets/1.*.json'
    hold
    check "in the sandbox, held, it is registered" within 10 is 1 State 's "registered"'
    polkit
    check "a move to one interface is taken" as alice sip-profiles set 1 interface=lo
    check "and registers, without a capability" within 10 is 1 State 's "registered"'
    farewells_before=$(farewells)

    before=$(service)
    check "a restart" systemctl restart sip-profiled
    check "is a new service" changed_from "$before"
    check "L3: with the same holder" is 1 Users 'u 1'
    before=$(service)
    kill -9 "$before"
    check "L4: after a crash systemd starts it again" within 10 changed_from "$before"
    check "with the same holder" is 1 Users 'u 1'
    before=$(service)
    check "an upgrade under a holder" apt install /newer/*.deb
    check "is a new service" within 10 changed_from "$before"
    check "L3: with the same holder" is 1 Users 'u 1'
    check "registered" within 10 is 1 State 's "registered"'
    check "the registrar has heard no farewell" test "$(farewells)" = "$farewells_before"
}

# What names and certificates need of the system's files, the sandbox leaves readable.
names_and_certificates() {
    local port=${registrar##*:} name=tls.sip.test servers
    dnsmasq --keep-in-foreground --no-hosts --no-resolv --local=/test/ --listen-address=127.0.0.1 --bind-interfaces \
        --user=root --srv-host="_sip._udp.sip.test,host.sip.test,$port" --address=/host.sip.test/127.0.0.1 \
        --address=/$name/127.0.0.1 >/tmp/dnsmasq 2>&1 &
    servers=$!
    echo nameserver 127.0.0.1 >/etc/resolv.conf
    as alice sip-profiles add bob@sip.test auth-user=alice
    printf wonderland | as alice sip-profiles set-password 2
    (exec_as alice sip-profiles hold 2) &
    servers="$servers $!"
    check "a name's SRV record leads to the registrar" within 10 is 2 State 's "registered"'

    mkfifo /tmp/never
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name -addext subjectAltName=DNS:$name \
        -keyout /tmp/key.pem -out /usr/local/share/ca-certificates/sip-test.crt 2>/dev/null
    openssl s_server -accept 127.0.0.1:5061 -key /tmp/key.pem -cert /usr/local/share/ca-certificates/sip-test.crt \
        -quiet <>/tmp/never >/tmp/tls 2>&1 &
    servers="$servers $!"
    within 10 bash -c ': </dev/tcp/127.0.0.1/5061' 2>/dev/null
    as alice sip-profiles add carol@$name transport=tls registrar=$name:5061
    (exec_as alice sip-profiles hold 3) 2>/dev/null &
    servers="$servers $!"
    check "a certificate of nobody's is refused" within 10 is 3 StateReason 's "certificate"'
    update-ca-certificates >/dev/null 2>&1
    check "one of the system's authorities is not" within 30 speaks_sip
    # shellcheck disable=SC2086
    kill $servers
    # shellcheck disable=SC2086
    wait $servers
}

# The TLS server is no registrar: a REGISTER that reaches it is all there is to see. A change starts an attempt.
speaks_sip() {
    as alice sip-profiles set 3 expires=$((600 + RANDOM))
    grep -q "^REGISTER sip:tls.sip.test" /tmp/tls
}

idle_and_boot() {
    kill "$holder"
    check "the end of the holder de-registers" within 10 is 1 State 's "unregistered"'
    check "L1: idle, it ends by itself" within 45 fails active
    check "as a success" test "$(systemctl show -P Result sip-profiled)" = success
    check "another upgrade" apt install --allow-downgrades /packages/*.deb
    check "starts nothing that did not run" fails active
    check "and the next call does" as alice sip-profiles set 1 auto-register=true
    check "an auto-register profile is registered" within 10 is 1 State 's "registered"'
    check "no error nor warning in the log" fails said "ERROR\|WARN"
}

start_registrar
case $1 in
1)
    packages_and_activation
    work_and_upgrade
    names_and_certificates
    idle_and_boot
    ;;
2)
    check "L5: with an auto-register profile, a boot starts it" within 10 active
    check "nobody holds it" is 1 Users 'u 0'
    check "its registrar has moved" as alice sip-profiles set 1 registrar="$registrar"
    check "it is registered" within 10 is 1 State 's "registered"'
    check "the last such profile" as alice sip-profiles set 1 auto-register=false
    ;;
3)
    check "L5: a boot without any starts nothing" fails active
    check "by its condition" test "$(conditions)" = no
    as alice sip-profiles set 1 registrar="$registrar"
    hold
    as alice sip-profiles watch >/tmp/watch 2>&1 &
    check "held, it is registered" within 10 is 1 State 's "registered"'
    check "removal under a holder and a watcher" dpkg --remove sip-profiles-tray sip-profiles sip-profiled
    check "leaves no daemon" within 6 gone
    check "no unit" fails systemctl cat sip-profiled
    check "the registrar has heard the farewell" farewell_is_last
    check "purge" dpkg --purge sip-profiles-tray sip-profiles sip-profiled
    check "leaves no files" fails sh -c 'ls -d /var/lib/sip-profiles /run/sip-profiles /etc/systemd/system/*/sip-* 2>/dev/null | grep .'
    ;;
esac
journalctl -q -b -o short -u sip-profiled -u sip-profiled-boot >"/test/journal-$1"
