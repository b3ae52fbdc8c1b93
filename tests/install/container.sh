#!/usr/bin/env bash
# Boots the Debian in the folder `$1` as a container with a network of its own, and returns when it has shut down.
set -eu

container=(systemd-nspawn --quiet --private-network --directory="$1" --boot)
if [ -d /run/systemd/system ]; then
    exec "${container[@]}"
fi

# No systemd out here that could give the container control groups: it gets a group of its own, and
# mounts that nobody else sees.
groups=$(findmnt --noheadings --first-only --output TARGET --types cgroup2)
mine=$groups/install-test-$$
mkdir "$mine"
trap 'find "$mine" -depth -type d -exec rmdir {} +' EXIT
(
    echo "$BASHPID" >"$mine/cgroup.procs"
    exec unshare --mount bash -eu -c '
        umount --recursive /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mount -t tmpfs tmpfs /run
        exec "$@" --register=no --keep-unit' container "${container[@]}"
)
