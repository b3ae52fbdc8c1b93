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

/// A disk that refuses one step, the one after so many.
struct OneRefusal(Cell<Option<usize>>);

impl Files for OneRefusal {
    fn run(&self, step: Step<'_>) -> io::Result<()> {
        let left = self.0.get();
        self.0.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) { Err(io::ErrorKind::StorageFull.into()) } else { RealFiles.run(step) }
    }
}

#[test]
fn u1_a_default_that_is_refused_at_any_step_is_not_in_force_after_a_restart() {
    for chosen in [None, Some(1)] {
        for step in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let (mut store, _) =
                Store::open(dir.path(), OneRefusal(Cell::new(None)), Seal::default()).unwrap();
            for id in 1..=2 {
                store.save(&record(id, "one", None, false), false).unwrap();
            }
            let before = chosen.map(|id| store.set_default(1000, id).map(|()| (1000, id)).unwrap());
            store.files.0.set(Some(step));
            store.set_default(1000, 2).unwrap_err();
            drop(store);
            let (_, loaded) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
            assert_eq!(loaded.defaults, before.into_iter().collect(), "step {step}");
        }
    }
}
