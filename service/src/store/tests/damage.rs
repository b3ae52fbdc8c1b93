//! What is not a file of ours where one should be keeps the service neither from starting nor from the rest.

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[test]
fn u2_what_is_no_file_or_endless_is_set_aside_and_leftovers_that_stay_are_let_be() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
        for id in 1..=3 {
            store.save(&record(id, "one", None, false), false).unwrap();
        }
    }
    let at = |name: &str| dir.path().join(name);
    fs::remove_file(at("profiles/1.json")).unwrap();
    // Nobody writes to it: reading it would never end.
    mknodat(CWD, at("profiles/1.json"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::OpenOptions::new().write(true).open(at("profiles/2.json")).unwrap().set_len(1 << 40).unwrap();
    let leftovers =
        ["profiles/9.new", "secrets/9.1.new", "farewells/9.json", "auto-register/9", "next-id.new"];
    for name in leftovers {
        fs::create_dir(at(name)).unwrap();
    }
    let (mut store, loaded) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
    assert_eq!(loaded.profiles, [record(3, "one", None, false)]);
    assert_eq!(loaded.set_aside.len(), 2, "{:?}", loaded.set_aside);
    store.save(&record(4, "four", Some("secret"), true), false).unwrap();
}
