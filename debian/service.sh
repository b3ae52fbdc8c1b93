# What the bus itself has started is stopped by the process id that the bus tells.
owner() {
    dbus-send --system --print-reply=literal --dest=org.freedesktop.DBus / \
        org.freedesktop.DBus.GetConnectionUnixProcessID string:org.sipprofiles 2>/dev/null | sed -n 's/^ *uint32 //p'
}

# Sends the service the signal and waits for its end; fails when there is no service.
end_with() {
    pid=$(owner) || return 1
    [ -n "$pid" ] && kill -s "$1" "$pid" || return 1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -s 0 "$pid" 2>/dev/null || break
        sleep 0.5
    done
}

stop() {
    if [ -d /run/systemd/system ]; then
        deb-systemd-invoke stop sip-profiled.service >/dev/null 2>&1 || true
    else
        end_with TERM || true
    fi
}
