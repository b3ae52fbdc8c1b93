//! The programs that docs/programs.md shows, taken from there, do what it says.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use sip_profiles_tests::PATIENCE;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use tokio::sync::mpsc::unbounded_channel;
use zbus::Variant;

/// The indented lines that follow the one that begins so.
fn example(begins: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/programs.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let after = page.lines().skip_while(|line| !line.starts_with(begins)).skip(2);
    let code = after.take_while(|line| line.is_empty() || line.starts_with("    "));
    let code: Vec<&str> = code.map(|line| line.strip_prefix("    ").unwrap_or_default()).collect();
    assert!(code.len() > 10, "{begins:?} is followed by a program");
    code.join("\n")
}

/// Runs a program of the page: it holds the default profile as long as it runs, and prints its states.
async fn holds(registrar: &Registrar, mut command: Command) {
    let mut program =
        command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let output = BufReader::new(program.stdout.take().expect("it is piped"));
    let (to, mut lines) = unbounded_channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
    for expected in ["registered", "registering ", "registered "] {
        let line = tokio::time::timeout(PATIENCE, lines.recv()).await.expect("it prints").expect("it runs");
        assert_eq!(line, format!("/org/sipprofiles/profile/1 {expected}"), "{command:?}");
    }
    let has = |count| move |it: &Registrar| it.bindings("sip:alice@127.0.0.1").len() == count;
    assert!(has(1)(registrar));
    program.kill().expect("it runs");
    program.wait().expect("it is our child");
    registrar.until("its end de-registers", has(0)).await;
}

/// A compiler, or whatever else has to do with a program before it runs.
fn run(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

#[tokio::test]
async fn the_programs_of_the_page_hold_the_default_profile_and_print_its_states() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let settings = Dict::from([
        ("aor", Variant::from("sip:alice@127.0.0.1")),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from("wonderland")),
    ]);
    client.create(settings).await.expect("it is created");
    let folder = tempfile::tempdir().expect("a folder");
    let written = |name: &str, begins: &str| {
        let path = folder.path().join(name);
        fs::write(&path, example(begins)).expect("our own folder");
        path
    };

    let mut python = bus.command("/usr/bin/python3");
    python.arg(written("hold.py", "In Python"));
    holds(&registrar, python).await;

    let mut gjs = bus.command("gjs");
    gjs.arg(written("hold.js", "In JavaScript"));
    holds(&registrar, gjs).await;

    let mut flags = Command::new("pkg-config");
    flags.args(["--cflags", "--libs", "gio-2.0"]);
    let (source, built) = (written("hold.c", "In C,"), folder.path().join("hold"));
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Werror", "-o"]).args([&built, &source]).args(run(flags).split_whitespace());
    run(compiler);
    // Its output is a pipe, and would be kept until there is more of it.
    let mut c = bus.command("stdbuf");
    c.arg("-oL").arg(built);
    holds(&registrar, c).await;
}
