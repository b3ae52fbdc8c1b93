//! A real GDBusObjectManagerClient: its cache is right after every kind of change.

use std::process::Stdio;

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::registrar::{Behaviour, Registrar};

const SCRIPT: &str = r#"
import sys, time
from gi.repository import Gio, GLib

registrar = sys.argv[1]
connection = Gio.bus_get_sync(Gio.BusType.SYSTEM)
manager = Gio.DBusObjectManagerClient.new_sync(
    connection, Gio.DBusObjectManagerClientFlags.NONE, 'org.sipprofiles', '/org/sipprofiles', None, None, None)
context = GLib.MainContext.default()
PROFILE = 'org.sipprofiles.Profile1'
OPTIONS = GLib.Variant('a{sv}', {})

def call(path, interface, member, arguments):
    return connection.call_sync('org.sipprofiles', path, interface, member, arguments, None, 0, 70000, None)

def cached(path):
    found = manager.get_interface(path, PROFILE)
    if found is None:
        return None
    return {name: found.get_cached_property(name).unpack() for name in found.get_cached_property_names()}

def true_values(path):
    reply = call(path, 'org.freedesktop.DBus.Properties', 'GetAll', GLib.Variant('(s)', (PROFILE,)))
    return reply.unpack()[0]

def until(condition, what):
    end = time.monotonic() + 60
    while not condition():
        context.iteration(False)
        if time.monotonic() > end:
            sys.exit('in vain: ' + what)
        time.sleep(0.002)

def same(path, what):
    until(lambda: cached(path) == true_values(path), what)

_, path = call('/org/sipprofiles', 'org.sipprofiles.Registry1', 'CreateProfile', GLib.Variant('(a{sv}a{sv})', ({
    'aor': GLib.Variant('s', 'sip:alice@127.0.0.1'),
    'registrar': GLib.Variant('s', registrar),
    'password': GLib.Variant('s', 'wonderland')}, {}))).unpack()
until(lambda: cached(path) is not None, 'created')
same(path, 'created')
call(path, PROFILE, 'Enable', GLib.Variant('(a{sv})', ({'wait': GLib.Variant('i', 60)},)))
until(lambda: cached(path)['State'] == 'registered', 'registered')
same(path, 'registered')
call(path, PROFILE, 'Update', GLib.Variant('(a{sv}asa{sv})', ({'display-name': GLib.Variant('s', 'Home')}, [], {})))
until(lambda: cached(path)['DisplayName'] == 'Home', 'updated')
same(path, 'updated')
call(path, PROFILE, 'Disable', GLib.Variant('(a{sv})', ({},)))
until(lambda: cached(path)['State'] == 'unregistered', 'unregistered')
same(path, 'unregistered')
call(path, PROFILE, 'Update', GLib.Variant('(a{sv}asa{sv})', ({'password': GLib.Variant('s', 'wrong')}, [], {})))
try:
    call(path, PROFILE, 'Enable', GLib.Variant('(a{sv})', ({'wait': GLib.Variant('i', 60)},)))
    sys.exit('a wrong password was taken')
except GLib.Error as error:
    assert 'org.sipprofiles.Error.Registration.Unauthorized' in error.message, error.message
until(lambda: cached(path)['StateReason'] == 'error', 'error')
same(path, 'error')
call(path, PROFILE, 'Remove', GLib.Variant('(a{sv})', ({},)))
until(lambda: cached(path) is None, 'removed')
print('right throughout')
"#;

#[tokio::test]
async fn a_gdbus_object_manager_client_keeps_a_right_cache() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let child = bus
        .command("/usr/bin/python3")
        .args(["-c", SCRIPT, &registrar.address().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("right throughout"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
