"""A user's program with an authentication agent of its own. Calls each method of Profile1 that a line on stdin names,
as `PATH MEMBER` with a dialog allowed or `PATH MEMBER quietly`, and prints what came of it. When polkit wants the
person to authenticate, prints `COOKIE cookie` and goes on with the next line."""

import os
import sys

from gi.repository import Gio, GLib

POLKIT = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority")
AGENT = """<node><interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
  <method name="BeginAuthentication">
    <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/>
    <arg type="a{ss}" direction="in"/><arg type="s" direction="in"/><arg type="a(sa{sv})" direction="in"/>
  </method>
  <method name="CancelAuthentication"><arg type="s" direction="in"/></method>
</interface></node>"""

bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
loop = GLib.MainLoop()
dialogs = []


def say(text):
    print(text, flush=True)


def on_agent(_bus, _sender, _path, _interface, member, arguments, invocation):
    if member == "BeginAuthentication":
        dialogs.append(invocation)
        say("COOKIE " + arguments.unpack()[4])
    else:
        say("CANCELLED")
        invocation.return_value(None)


def on_reply(bus, result):
    try:
        say("OK " + str(bus.call_finish(result).unpack()))
    except GLib.Error as error:
        say("ERROR " + Gio.DBusError.get_remote_error(error))


def on_line(*_):
    line = sys.stdin.readline().split()
    if not line:
        loop.quit()
    elif line[0] == "authenticated":
        dialogs.pop().return_value(None)
    else:
        path, member = line[:2]
        allowed = "quietly" not in line
        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if allowed else Gio.DBusCallFlags.NONE
        arguments = ("(a{sv}asa{sv})", ({"x-note": GLib.Variant("s", line[2])}, [], {})) if member == "Update" else ("(a{sv})", ({},))
        bus.call("org.sipprofiles", path, "org.sipprofiles.Profile1", member, GLib.Variant(*arguments), None, flags, 60000, None, on_reply)
    return True


agent = Gio.DBusNodeInfo.new_for_xml(AGENT).interfaces[0]
bus.register_object("/agent", agent, on_agent, None, None)
with open("/proc/self/stat") as stat:
    started = int(stat.read().rsplit(") ", 1)[1].split()[19])
me = ("unix-process", {
    "pid": GLib.Variant("u", os.getpid()),
    "start-time": GLib.Variant("t", started),
    "uid": GLib.Variant("i", os.getuid()),
})
bus.call_sync(*POLKIT, "RegisterAuthenticationAgent", GLib.Variant("((sa{sv})ss)", (me, "en", "/agent")), None, 0, 9000, None)
say("READY")
GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, on_line)
loop.run()
