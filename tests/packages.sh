#!/usr/bin/env bash
# Installs the Debian packages that building, the demo and the tests need, those that are missing; with arguments, those.
set -eu

wanted=(gcc libc6-dev dbus systemd util-linux iproute2 dnsmasq-base kamailio kamailio-tls-modules kamailio-outbound-modules)
wanted+=(g++ python3-gi gir1.2-glib-2.0 gjs polkitd)
# The editor: GTK to build it; for its tests a screen, a keyboard, and a screen reader's view.
wanted+=(pkg-config libgtk-4-dev libadwaita-1-dev adwaita-icon-theme fonts-dejavu-core librsvg2-common)
wanted+=(xvfb xdotool x11-utils at-spi2-core gir1.2-atspi-2.0)
# A desktop for the applet.
wanted+=(dunst hicolor-icon-theme imagemagick x11-xserver-utils xfce4-panel xfconf xfwm4)
# Packages, and the clean Debian that they are tried in.
wanted+=(debhelper debootstrap dpkg-dev lintian systemd-container)
[ $# -eq 0 ] || wanted=("$@")
missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

# Packages must not start daemons of their own: policy-rc.d says no while they are installed.
policy=/usr/sbin/policy-rc.d
ours=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    ours=yes
fi
trap '[ -z "$ours" ] || "${as_root[@]}" rm -f "$policy"' EXIT

echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
