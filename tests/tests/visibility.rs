//! A private profile does not exist for strangers.

use std::process::Output;

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use zbus::Variant;

const STRANGER: u32 = 65534;
const PROFILE: &str = "/org/sipprofiles/profile/1";

fn busctl(bus: &Bus, arguments: &[&str]) -> Output {
    bus.command_as(STRANGER, "busctl").arg("--system").args(arguments).output().expect("busctl is installed")
}

#[tokio::test]
async fn nothing_of_a_private_profile_reaches_a_stranger() {
    let bus = Bus::start(Options::default());
    let root = Client::connect(&bus).await;
    let secret = Dict::from([
        ("aor", Variant::from("sip:hidden@127.0.0.1")),
        ("display-name", Variant::from("Hidden")),
        ("password", Variant::from("hunter2")),
    ]);
    assert_eq!(root.create(secret).await.unwrap(), 1);
    let (service, registry, profile) =
        ("org.sipprofiles", "org.sipprofiles.Registry1", "org.sipprofiles.Profile1");
    let refused: [(&[&str], &str); 5] = [
        (&["call", service, "/org/sipprofiles", registry, "GetProfile", "u", "1"], "There is no profile 1"),
        (&["call", service, PROFILE, profile, "GetSettings"], "There is no object"),
        (&["call", service, PROFILE, profile, "Enable", "a{sv}", "0"], "There is no object"),
        (&["get-property", service, PROFILE, profile, "State"], "There is no object"),
        (&["introspect", service, PROFILE], "There is no object"),
    ];
    for (arguments, expected) in refused {
        let output = busctl(&bus, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
    let objects =
        ["call", service, "/org/sipprofiles", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"];
    assert_eq!(String::from_utf8_lossy(&busctl(&bus, &objects).stdout).trim(), "a{oa{sa{sv}}} 0");
    let find = ["call", service, "/org/sipprofiles", registry, "FindProfiles", "a{sv}", "0"];
    assert_eq!(String::from_utf8_lossy(&busctl(&bus, &find).stdout).trim(), "ao 0");
    let tree = busctl(&bus, &["tree", "--list", service]);
    assert!(!String::from_utf8_lossy(&tree.stdout).contains("profile/1"));

    // A stranger has profiles of its own, and the two do not meet.
    let own = [
        "call",
        service,
        "/org/sipprofiles",
        registry,
        "CreateProfile",
        "a{sv}a{sv}",
        "1",
        "aor",
        "s",
        "sip:own@127.0.0.1",
        "0",
    ];
    let output = busctl(&bus, &own);
    assert!(String::from_utf8_lossy(&output.stdout).contains("/profile/2"), "{output:?}");
    let settings = busctl(&bus, &["call", service, "/org/sipprofiles/profile/2", profile, "GetSettings"]);
    assert!(settings.status.success());
    let shared = [
        "call",
        service,
        "/org/sipprofiles",
        registry,
        "CreateProfile",
        "a{sv}a{sv}",
        "1",
        "aor",
        "s",
        "sip:own@127.0.0.1",
        "1",
        "shared",
        "b",
        "true",
    ];
    assert!(!busctl(&bus, &shared).status.success());
}

#[tokio::test]
async fn signals_about_a_private_profile_are_unicast_to_its_owner_and_root() {
    let bus = Bus::start(Options::default());
    let mut root = Client::connect(&bus).await;
    root.match_all().await;
    root.root("FindProfiles", &Dict::new()).await.unwrap();
    // A stranger that asks for every broadcast of the service and prints what comes until it is ended.
    let script = "import gi\nfrom gi.repository import Gio, GLib\n\
        c = Gio.bus_get_sync(Gio.BusType.SYSTEM)\n\
        def see(*a): print('SEEN', a[4], flush=True)\n\
        c.signal_subscribe('org.sipprofiles', None, None, None, None, 0, see)\n\
        def find(): return c.call_sync('org.sipprofiles', '/org/sipprofiles', 'org.sipprofiles.Registry1', \
        'FindProfiles', GLib.Variant('(a{sv})', ({},)), None, 0, 9000, None)\n\
        find()\nprint('READY', flush=True)\n\
        loop = GLib.MainLoop()\n\
        import sys\nGLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN, lambda *a: (find(), GLib.timeout_add(50, loop.quit)) and False)\n\
        loop.run()\nprint('END', flush=True)\n";
    let mut stranger = bus
        .command_as(STRANGER, "/usr/bin/python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stranger.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "READY");
    root.create(Dict::from([("aor", Variant::from("sip:hidden@127.0.0.1"))])).await.unwrap();
    root.until("ProfileAdded", "").await;
    std::io::Write::write_all(&mut stranger.stdin.take().unwrap(), b"end\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "END", "the stranger saw a signal");
    stranger.wait().unwrap();
}
