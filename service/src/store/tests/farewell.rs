//! L4, U3c, U5: what is kept of a profile until its binding is removed.

use super::*;

/// A disk that takes so many steps more, and after them nothing new; names change and files go all the same.
struct FullDisk(Cell<Option<usize>>);

impl Files for FullDisk {
    fn run(&self, step: Step<'_>) -> io::Result<()> {
        let is_full = match self.0.get() {
            Some(0) => matches!(step, Step::Create(_) | Step::Write(..) | Step::Sync(_)),
            Some(left) => {
                self.0.set(Some(left - 1));
                false
            }
            None => false,
        };
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { RealFiles.run(step) }
    }
}

#[test]
fn l4_remove_with_a_farewell_stopped_after_every_step_loses_neither() {
    stopped_everywhere(
        |store| store.remove(1, true),
        |acknowledged, found, _, loaded| {
            let removed = found == [record(2, "two", None, true)];
            assert!(removed || (!acknowledged && found == old()), "{acknowledged} {found:?}");
            let kept = loaded.farewells == [record(1, "one", Some("old"), false)];
            assert!(kept || (!removed && loaded.farewells.is_empty()), "{:?}", loaded.farewells);
        },
    );
}

#[test]
fn u3c_l4_a_move_stopped_after_every_step_keeps_the_one_before_with_its_password() {
    stopped_everywhere(
        |store| store.save(&record(1, "uno", Some("new"), false), true),
        |acknowledged, found, _, loaded| {
            let moved = found == [record(1, "uno", Some("new"), false), record(2, "two", None, true)];
            assert!(moved || (!acknowledged && found == old()), "{acknowledged} {found:?}");
            let kept = loaded.farewells == [record(1, "one", Some("old"), false)];
            assert!(kept || (!moved && loaded.farewells.is_empty()), "{:?}", loaded.farewells);
        },
    );
}

#[test]
fn u5_a_farewell_ends_with_its_binding_and_takes_its_secrets_along() {
    let dir = tempfile::tempdir().unwrap();
    let files = || {
        let below =
            ["profiles", "secrets", "farewells"].map(|name| fs::read_dir(dir.path().join(name)).unwrap());
        let mut names: Vec<String> = below
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let (mut store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
    for (name, password) in [("first", "a"), ("second", "b"), ("third", "c")] {
        store.save(&record(7, name, Some(password), false), true).unwrap();
    }
    drop(store);
    let (mut store, loaded) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
    assert_eq!(loaded.farewells, [record(7, "first", Some("a"), false)], "the one whose binding stands");
    assert_eq!(files(), ["7.1.json", "7.3.json", "7.json", "7.json"]);
    store.forget_farewell(7);
    assert_eq!(files(), ["7.3.json", "7.json"]);
    store.save(&record(7, "fourth", Some("c"), false), true).unwrap();
    store.forget_farewell(7);
    assert_eq!(files(), ["7.3.json", "7.json"], "secrets that are in use stay");
    store.remove(7, true).unwrap();
    assert_eq!((files(), store.next_id()), (vec![String::from("7.3.json"), String::from("7.json")], 8));
    drop(store);
    let (mut store, loaded) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
    assert_eq!((loaded.profiles, loaded.farewells), (vec![], vec![record(7, "fourth", Some("c"), false)]));
    store.forget_farewell(7);
    assert_eq!(files(), Vec::<String>::new());
}

#[test]
fn u1_a_write_that_fails_keeps_no_farewell() {
    for steps in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path(), FullDisk(Cell::new(None)), Seal::default()).unwrap();
        store.save(&record(1, "one", Some("old"), false), false).unwrap();
        store.files.0.set(Some(steps));
        let results = [store.save(&record(1, "uno", Some("new"), false), true), store.remove(1, true)];
        store.files.0.set(None);
        let refused = results.iter().all(Result::is_err);
        drop(store);
        let (_, loaded) = load(dir.path());
        assert!(
            !refused
                || loaded.farewells.is_empty() && loaded.profiles == [record(1, "one", Some("old"), false)]
        );
    }
}
