//! Nothing that is secret leaves the service but to the secrets' own files: not to the bus, the log, other files, the
//! process's public faces or a core image, whatever happens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Signal, kill_process};
use sip_profiles_tests::PATIENCE;
use sip_profiles_tests::agent::{Agent, Reaction};
use sip_profiles_tests::bus::{Bus, Options, is_running};
use sip_profiles_tests::client::{Client, Dict, Map, error_name};
use sip_profiles_tests::monitor::Monitor;
use sip_profiles_tests::registrar::{Behaviour, Registrar, Script};
use zbus::Variant;
use zbus::message::{Message, Type};

const ALICE: &str = "sip:alice@127.0.0.1";
const PASSWORD: &str = "Pw-of-the-profile-6d1c";
const FROM_AGENT: &str = "Pw-of-the-agent-a83f";
const REFUSED: &str = "Pw-that-is-refused-02be";
const CHANGED: &str = "Pw-after-the-update-77c9";

/// What is looked for, and what it is.
struct Needle {
    what: String,
    bytes: Vec<u8>,
}

/// Each password as it is, in base64 and hexadecimal digits, and as the digest's hash of user, realm and password, from
/// which one can log in as from the password itself; each line of the key.
fn needles(key: &str) -> Vec<Needle> {
    let mut needles = Vec::new();
    let mut add =
        |what: &str, bytes: &[u8]| needles.push(Needle { what: what.to_owned(), bytes: bytes.to_vec() });
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for password in [PASSWORD, FROM_AGENT, REFUSED, CHANGED] {
        add(password, password.as_bytes());
        add(&format!("{password} in hexadecimal digits"), hex(password.as_bytes()).as_bytes());
        for user in ["alice", "bob", "eve"] {
            let text = format!("{user}:test:{password}");
            let hashes = [Md5::digest(&text).to_vec(), sha2::Sha256::digest(&text).to_vec()];
            for hash in hashes {
                add(&format!("the hash of {text}"), hex(&hash).as_bytes());
                add(&format!("the raw hash of {text}"), &hash);
            }
        }
    }
    for line in key.lines().filter(|line| !line.starts_with("--")) {
        add("a line of the key", line.as_bytes());
    }
    needles
}

fn assert_clean(place: &str, bytes: &[u8], needles: &[Needle]) {
    for Needle { what, bytes: needle } in needles {
        let found = bytes.windows(needle.len()).any(|window| window == needle.as_slice());
        assert!(!found, "{place} holds {what}:\n{}", String::from_utf8_lossy(bytes));
    }
}

/// A client's own call that sets a secret, or an agent's answer.
fn carries_it_in(message: &Message, agent: &str) -> bool {
    let header = message.header();
    let member = header.member().map(|member| member.to_string()).unwrap_or_default();
    match message.message_type() {
        Type::MethodCall => ["CreateProfile", "Update"].contains(&member.as_str()),
        Type::MethodReturn => header.sender().is_some_and(|sender| sender.as_str() == agent),
        _ => false,
    }
}

/// Files under `directory`, none of them open to others: files 0600, directories 0700.
fn private_files(directory: &Path) -> Vec<PathBuf> {
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(directory), 0o700, "{}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(private_files(&path));
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            files.push(path);
        }
    }
    files
}

fn assert_clean_files(bus: &Bus, needles: &[Needle]) {
    for file in private_files(&bus.path("state")).into_iter().chain(private_files(&bus.path("run"))) {
        if !file.starts_with(bus.path("state/secrets")) {
            assert_clean(&file.display().to_string(), &fs::read(&file).unwrap_or_default(), needles);
        }
    }
    let pid = bus.service_pid().as_raw_pid();
    for face in ["cmdline", "environ", "comm", "status"] {
        let face = format!("/proc/{pid}/{face}");
        assert_clean(&face, &fs::read(&face).unwrap_or_default(), needles);
    }
    assert_clean("the log", bus.log().as_bytes(), needles);
}

fn settings(registrar: &Registrar, user: &str, more: &[(&'static str, &str)]) -> Dict<'static> {
    let mut settings = Dict::from([
        ("aor", Variant::from(format!("sip:{user}@127.0.0.1"))),
        ("registrar", Variant::from(registrar.address().to_string())),
    ]);
    settings.extend(more.iter().map(|(key, value)| (*key, Variant::from((*value).to_owned()))));
    settings
}

/// Mistakes that hold a secret: what is wrong with it is said without it.
async fn make_mistakes(client: &Client, id: u32, key: &str) {
    let (long, broken) = (format!("{PASSWORD}{}", "x".repeat(1024)), key.replace("PRIVATE", "PIRATE"));
    let mistakes = [
        Dict::from([("password", Variant::from(format!("{PASSWORD}\n")))]),
        Dict::from([("password", Variant::from(long))]),
        Dict::from([("password", Variant::from(vec![PASSWORD]))]),
        Dict::from([("password", Variant::from((PASSWORD, 1u32)))]),
        Dict::from([("tls-key", Variant::from(broken))]),
        Dict::from([("tls-key", Variant::from(key.replace("-----END", "----END")))]),
        Dict::from([("tls-key", Variant::from(PASSWORD))]),
        Dict::from([("passwort", Variant::from(PASSWORD))]),
        Dict::from([("expires", Variant::from(PASSWORD))]),
        Dict::from([("aor", Variant::from(format!("sip:alice:{PASSWORD}@127.0.0.1")))]),
    ];
    for mistake in mistakes {
        let shown = mistake.keys().next().copied().unwrap_or_default();
        assert!(client.update(id, mistake, &[]).await.is_err(), "{shown} is no mistake");
    }
    let path = format!("/org/sipprofiles/profile/{id}");
    let set = ("org.sipprofiles.Profile1", "password", Variant::from(1u32));
    let properties = "org.freedesktop.DBus.Properties";
    client.call_at("org.sipprofiles", &path, properties, "Set", &set).await.unwrap_err();
    let get = ("org.sipprofiles.Profile1", "password");
    client.call_at("org.sipprofiles", &path, properties, "Get", &get).await.unwrap_err();
}

/// Reads whatever can be read.
async fn read_everything(client: &Client, ids: &[u32]) {
    for id in ids {
        let reply = client.profile(*id, "GetSettings", &()).await.unwrap();
        let settings = reply.body().deserialize::<Map>().unwrap();
        assert!(!settings.contains_key("password") && !settings.contains_key("tls-key"));
        client.properties(*id).await.unwrap();
        client.registration(*id).await.unwrap();
        client.profile(*id, "ListUsers", &()).await.unwrap();
    }
    let manager = "org.freedesktop.DBus.ObjectManager";
    client.call_at("org.sipprofiles", "/org/sipprofiles", manager, "GetManagedObjects", &()).await.unwrap();
}

async fn end_with(bus: &Bus, signal: Signal) {
    let pid = bus.service_pid();
    bus.signal_service(signal);
    bus.await_end(pid).await;
}

#[tokio::test]
async fn no_secret_is_found_anywhere_but_in_its_file() {
    let passwords = [("alice", PASSWORD), ("bob", FROM_AGENT)];
    let passwords = passwords.map(|(user, word)| (user.to_owned(), word.to_owned())).into();
    let registrar = Registrar::start(Behaviour { passwords, ..Behaviour::default() }).await;
    let wrapper = String::from("env RUST_LOG=trace,rsipstack=trace,zbus=trace");
    let bus =
        Bus::start(Options { log: String::from("trace"), wrapper, idle_timeout: 0.1, ..Options::default() });
    let monitor = Monitor::start(&bus).await;
    let mut client = Client::connect(&bus).await;
    client.match_all().await;
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![String::from("alice")]).unwrap().self_signed(&key).unwrap();
    let key = key.serialize_pem();
    let needles = needles(&key);

    let tls = [("password", PASSWORD), ("tls-certificate", &certificate.pem()), ("tls-key", &key)];
    let alice = client.create(settings(&registrar, "alice", &tls)).await.unwrap();
    assert_eq!(client.enable_and_wait(alice).await.unwrap(), "registered");
    let eve = client.create(settings(&registrar, "eve", &[("password", REFUSED)])).await.unwrap();
    let refused = client.enable_and_wait(eve).await;
    assert_eq!(error_name(refused), "org.sipprofiles.Error.Registration.Unauthorized");

    let bob = client.create(settings(&registrar, "bob", &[("secret-storage", "agent")])).await.unwrap();
    client.enable(bob, Dict::new()).await.unwrap();
    let answers = [REFUSED, FROM_AGENT, FROM_AGENT, FROM_AGENT].map(|word| Reaction::Password(word, true));
    let agent = Agent::start(&bus, answers).await;
    client.until("ProfileStateChanged", &format!("{bob}: waiting -> registered")).await;

    // No server there speaks TLS; no secret is needed to find that out, but one is there.
    let over_tls = [("password", PASSWORD), ("transport", "tls")];
    let secure = client.create(settings(&registrar, "alice", &over_tls)).await.unwrap();
    assert_eq!(client.enable_and_wait(secure).await.unwrap(), "waiting");

    registrar.next([Script::Status(
        401,
        vec![String::from("WWW-Authenticate: Digest realm=\"test\", nonce=\"x\"")],
    )]);
    client.profile(alice, "Refresh", &Dict::new()).await.unwrap();
    client.update(alice, Dict::from([("password", Variant::from(CHANGED))]), &[]).await.unwrap();
    registrar.behave(|it| drop(it.passwords.insert(String::from("alice"), String::from(CHANGED))));
    client.update(alice, Dict::from([("x-note", Variant::from("seen"))]), &[]).await.unwrap();
    make_mistakes(&client, alice, &key).await;
    let ids = [alice, bob, eve, secure];
    read_everything(&client, &ids).await;
    assert_clean_files(&bus, &needles);

    for signal in [Signal::USR1, Signal::KILL, Signal::TERM, Signal::ABORT] {
        end_with(&bus, signal).await;
        read_everything(&client, &ids).await;
        assert_clean_files(&bus, &needles);
    }
    monitor.until_call("GetPassword").await;
    let asking = agent.connection.unique_name().unwrap().to_string();
    drop(agent);
    let last = bus.service_pid();
    client.root("Leave", &Dict::new()).await.unwrap();
    client.connection.clone().close().await.unwrap();
    // The agent's connection goes with the last copy of it, and the session with that.
    bus.await_end(last).await;
    assert_clean_files(&bus, &needles);

    let passed = monitor.passed();
    assert!(
        passed.iter().any(|message| carries_it_in(message, &asking)),
        "the monitor sees the secrets come"
    );
    for message in passed.iter().filter(|message| !carries_it_in(message, &asking)) {
        assert_clean(&format!("{message:?}"), message.data(), &needles);
    }
    let kept = fs::read(bus.path("state/secrets").join(format!("{secure}.1.json"))).unwrap();
    assert!(String::from_utf8_lossy(&kept).contains(PASSWORD), "it can be found where it is");
    assert!(registrar.bindings(ALICE).len() <= 1);
}

#[tokio::test]
async fn with_a_credential_the_disk_holds_no_plain_secret() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let credentials = tempfile::tempdir().unwrap();
    fs::write(credentials.path().join("sip-profiles-key"), [7; 32]).unwrap();
    let wrapper = format!("env CREDENTIALS_DIRECTORY={}", credentials.path().display());
    let bus = Bus::start(Options { wrapper, ..Options::default() });
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&registrar, "alice", &[("password", "wonderland")])).await.unwrap();
    let needle = [Needle { what: String::from("the password"), bytes: b"wonderland".to_vec() }];
    for file in private_files(&bus.path("state")) {
        assert_clean(&file.display().to_string(), &fs::read(&file).unwrap(), &needle);
    }
    end_with(&bus, Signal::KILL).await;
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered", "the successor opens it");

    // Without the key the profile waits on the disk for it; nothing is set aside.
    end_with(&bus, Signal::KILL).await;
    fs::remove_file(credentials.path().join("sip-profiles-key")).unwrap();
    client.root("FindProfiles", &Dict::new()).await.unwrap_err();
    assert!(bus.log().contains("is not there"), "{}", bus.log());
    fs::write(credentials.path().join("sip-profiles-key"), [7; 32]).unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
}

#[tokio::test]
async fn no_core_file_however_it_dies() {
    let directory = tempfile::tempdir().unwrap();
    let unlimited = "prlimit --core=unlimited:unlimited";
    // A shell's background job has QUIT ignored, and so has all that it starts.
    let wrapper = format!("env --default-signal -C {} {unlimited}", directory.path().display());
    let bus = Bus::start(Options { wrapper, ..Options::default() });
    let client = Client::connect(&bus).await;
    for signal in [Signal::SEGV, Signal::ABORT, Signal::QUIT, Signal::BUS] {
        client.root("FindProfiles", &Dict::new()).await.unwrap();
        let limits = fs::read_to_string(format!("/proc/{}/limits", bus.service_pid().as_raw_pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
        // The language's own handler takes the first SEGV or BUS, which comes from no fault, and lets it pass.
        let (pid, end) = (bus.service_pid(), Instant::now() + PATIENCE);
        while is_running(pid) {
            assert!(Instant::now() < end, "{signal:?} does not end it");
            let _ = kill_process(pid, signal);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bus.await_end(pid).await;
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{signal:?} leaves a file");
    }
}

#[tokio::test]
async fn another_process_of_the_same_user_cannot_look_into_it() {
    // Without capabilities root's processes are to each other what those of any user are.
    let powerless = ["setpriv", "--bounding-set=-all"];
    let bus = Bus::start(Options { wrapper: powerless.join(" "), ..Options::default() });
    let client = Client::connect(&bus).await;
    client.root("FindProfiles", &Dict::new()).await.unwrap();
    let service = bus.service_pid().as_raw_pid();
    let mut other = Command::new(powerless[0]).args([powerless[1], "sleep", "60"]).spawn().unwrap();
    let other_pid = i32::try_from(other.id()).unwrap();
    while fs::read_to_string(format!("/proc/{other_pid}/comm")).unwrap().trim() != "sleep" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let looks = |pid: i32, face: &str| {
        let path = format!("/proc/{pid}/{face}");
        let output = Command::new(powerless[0]).args([powerless[1], "head", "-c0", &path]).output().unwrap();
        output.status.success()
    };
    let faces = ["mem", "environ", "maps", "auxv"];
    assert!(faces.iter().all(|face| looks(other_pid, face)), "an ordinary process can be looked into");
    for face in faces {
        assert!(!looks(service, face), "{face}");
    }
    other.kill().unwrap();
    other.wait().unwrap();
}
