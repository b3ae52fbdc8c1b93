#!/usr/bin/env bash
# The Debian packages in a clean Debian 12: first with nothing but a bus, then booted with systemd. As root; called by
# `make install-test`, which has built the packages. Prints a line for each thing seen, and how many were.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=PATH bash "$0"

mkdir -p target/install
here=$(mktemp -d "$PWD/target/install/XXXXXX")
trap 'rm -rf --one-file-system "$here"' EXIT
root=$here/root

say() { printf 'install: %s\n' "$*"; }

# The mirror is the one that this machine uses itself, with its proxies. Kept for the next time.
fresh_debian() {
    local base=$PWD/target/install/base.tar mirror
    mkdir "$root"
    if [ ! -e "$base" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
        [ -n "$mirror" ] || { echo "install: no Debian 12 among this machine's apt sources"; return 1; }
        debootstrap --variant=minbase --include=dbus bookworm "$here/base" "$mirror" >"$here/debootstrap.log" 2>&1 ||
            { tail -n 20 "$here/debootstrap.log"; return 1; }
        tar -C "$here/base" -cf "$base.new" . && mv "$base.new" "$base"
    fi
    tar -C "$root" -xf "$base"
    rm -f "$root/etc/apt/sources.list"
    cp -a /etc/apt/sources.list* "$root/etc/apt/"
    apt-config dump | grep -i '^Acquire' >"$root/etc/apt/apt.conf.d/90host" || true
    mkdir "$root/packages" "$root/newer" "$root/test"
}

# The same packages with a higher version, to upgrade to.
newer() {
    local package unpacked
    for package in target/debian/*.deb; do
        unpacked=$here/unpacked
        dpkg-deb -R "$package" "$unpacked"
        sed -i -E 's/^(Version: .*)/\1+newer/; /^Depends:/s/(sip-profiled \(= [^)]*)/\1+newer/' "$unpacked/DEBIAN/control"
        dpkg-deb --root-owner-group -b "$unpacked" "$root/newer/$(basename "$package")" >/dev/null
        rm -rf "$unpacked"
    done
}

# Runs a script of ours in the root, with only what it mounts itself; whatever it started ends with it.
inside() {
    unshare --mount --pid --ipc --uts --net --fork --kill-child --mount-proc="$root/proc" \
        sh -c 'ip link set lo up && exec "$@"' sh chroot "$root" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 bash "/test/$1"
}

# Boots the root; `$1` says for which time. It tells what it saw in a file, and ends by itself.
boot() {
    cat >"$root/etc/systemd/system/install-test.service" <<UNIT
[Unit]
After=multi-user.target

[Service]
Type=simple
ExecStart=/bin/bash /test/booted.sh $1
ExecStopPost=/bin/systemctl --no-block exit
StandardOutput=file:/test/result-$1
StandardError=inherit
UNIT
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -sf ../install-test.service "$root/etc/systemd/system/multi-user.target.wants/"
    timeout 300 bash tests/install/container.sh "$root" >"$here/boot-$1.log" 2>&1 || tail -n 30 "$here/boot-$1.log"
    cat "$root/test/result-$1" || echo "FAILED: boot $1"
}

dependencies() {
    dpkg-deb -f "$1" Depends | tr ',' '\n' | grep -v sip-profile
}

# `make install` and `make uninstall` with a prefix of their own.
staged() {
    local stage=$here/stage
    # As an administrator whose files are nobody else's business.
    (umask 077 && make --silent install DESTDIR="$stage" PREFIX=/usr/local)
    local closed
    closed=$(find "$stage/usr" "$stage/etc" ! -perm -444)
    [ -z "$closed" ] && echo "ok: everybody may read what make install brings" ||
        printf 'FAILED: make install keeps to itself\n%s\n' "$closed"
    for file in usr/local/bin/sip-profiled usr/local/bin/sip-profiles usr/local/bin/sip-profiles-tray \
        usr/local/share/man/man1/sip-profiles.1 usr/local/share/zsh/site-functions/_sip-profiles \
        usr/share/dbus-1/system.d/org.sipprofiles.conf usr/share/polkit-1/actions/org.sipprofiles.policy; do
        [ -s "$stage/$file" ] && echo "ok: make install brings $file" || echo "FAILED: make install: no $file"
    done
    grep -q '^Exec=/usr/local/bin/sip-profiled$' "$stage/usr/share/dbus-1/system-services/org.sipprofiles.service" &&
        echo "ok: the bus finds the service there" || echo "FAILED: the bus does not find the service there"
    make --silent uninstall DESTDIR="$stage" PREFIX=/usr/local
    local left
    left=$(find "$stage" ! -type d)
    [ -z "$left" ] && echo "ok: make uninstall leaves no file" || printf 'FAILED: make uninstall leaves\n%s\n' "$left"
}

say "make install and make uninstall"
staged | tee "$here/results"

say "a clean Debian 12"
fresh_debian
cp target/debian/*.deb "$root/packages/"
newer
cp tests/install/* target/$PROFILE/sip-profiles-test-registrar "$root/test/"
dependencies=$(for package in target/debian/*.deb; do dependencies "$package"; done | paste -sd,)
# With what is recommended only, to see our actions in polkit and certificates verified; and a name server.
more="polkitd, ca-certificates, openssl, dnsmasq-base"
chroot "$root" sh -c 'apt-get update -q && apt-get satisfy -q -y --no-install-recommends "$1"' sh "$dependencies, $more" \
    >"$here/apt.log" 2>&1 || { tail -n 20 "$here/apt.log"; exit 1; }

say "on a bus alone"
inside bus.sh | tee -a "$here/results"

say "booted with systemd"
for time in 1 2 3; do
    boot "$time" | tee -a "$here/results"
done

passed=$(grep -c '^ok: ' "$here/results" || true)
failed=$(grep -c '^FAILED: ' "$here/results" || true)
echo "install: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
