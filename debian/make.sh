#!/usr/bin/env bash
# Builds the Debian packages into target/debian and shows them to lintian. Called by `make deb`, after the build,
# with the PROFILE it was built with.
set -eu
cd "$(dirname "$0")/.."

out=$PWD/target/debian
rm -rf "$out"
mkdir -p "$out"

# -d: Rust may come from elsewhere than a package. -nc: nothing that cargo built is cleaned away.
DEBS=$out PROFILE=$PROFILE dpkg-buildpackage -b -us -uc -nc -d \
    --buildinfo-file="$out/sip-profiles.buildinfo" --buildinfo-option=-u"$out" \
    --changes-file="$out/sip-profiles.changes" --changes-option=-u"$out" >"$out/build.log" 2>&1 ||
    { tail -n 50 "$out/build.log"; exit 1; }
# Not dh_clean, which would take people's *.orig and *~ with it.
rm -rf debian/.debhelper debian/files debian/tmp debian/*-stamp debian/*.substvars debian/*.debhelper debian/*.debhelper.log \
    debian/sip-profiled debian/sip-profiles debian/sip-profiles-tray
lintian --allow-root --info --fail-on error,warning "$out"/*.deb
ls "$out"/*.deb
