use std::cell::{Cell, RefCell};
use std::fs;

use proptest::prelude::*;

use super::*;
use crate::registration::Identity;
use crate::settings::{Settings, Value, Values};

mod damage;
mod farewell;

/// A disk that stops after a number of steps: from then on everything fails, as after a crash. What was not
/// synced is lost where `loses` says so: file contents are cut in half, directory entries are undone.
struct StoppingFiles {
    steps: Cell<usize>,
    loses: bool,
    unsynced: RefCell<Vec<Undo>>,
}

enum Undo {
    Content(PathBuf),
    Entry(PathBuf, PathBuf, Option<Vec<u8>>),
}

impl StoppingFiles {
    fn after(steps: usize, loses: bool) -> Self {
        Self { steps: Cell::new(steps), loses, unsynced: RefCell::default() }
    }

    fn note(&self, step: Step<'_>) {
        let mut unsynced = self.unsynced.borrow_mut();
        let entry = |path: &Path| {
            Undo::Entry(path.parent().unwrap().to_owned(), path.to_owned(), fs::read(path).ok())
        };
        match step {
            Step::Write(path, _) => unsynced.push(Undo::Content(path.to_owned())),
            Step::Sync(path) => unsynced.retain(|undo| !matches!(undo, Undo::Content(file) if file == path)),
            Step::Rename(from, to) => {
                unsynced.extend([entry(from), entry(to)]);
                for undo in unsynced.iter_mut() {
                    if let Undo::Content(file) = undo
                        && file == from
                    {
                        *file = to.to_owned();
                    }
                }
            }
            Step::Create(path) | Step::Remove(path) => unsynced.push(entry(path)),
            Step::SyncDir(dir) => {
                unsynced.retain(|undo| !matches!(undo, Undo::Entry(parent, ..) if parent == dir));
            }
            Step::MakeDir(_) => {}
        }
    }

    fn crash(&self) {
        for undo in self.unsynced.borrow_mut().drain(..).rev() {
            match undo {
                Undo::Content(path) => {
                    if let Ok(bytes) = fs::read(&path) {
                        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
                    }
                }
                Undo::Entry(_, path, Some(bytes)) => fs::write(&path, bytes).unwrap(),
                Undo::Entry(_, path, None) => drop(fs::remove_file(&path)),
            }
        }
    }
}

impl Files for StoppingFiles {
    fn run(&self, step: Step<'_>) -> io::Result<()> {
        match self.steps.get().checked_sub(1) {
            Some(left) => {
                self.note(step);
                self.steps.set(left);
                RealFiles.run(step)
            }
            None => {
                if self.loses {
                    self.crash();
                }
                Err(io::Error::other("the machine has stopped"))
            }
        }
    }
}

fn record(id: u32, name: &str, password: Option<&str>, auto: bool) -> Record {
    let mut values: Values = [
        ("aor", Value::Text(format!("sip:user{id}@example.org"))),
        ("display-name", Value::Text(name.to_owned())),
        ("auto-register", Value::Flag(auto)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    values.extend(password.map(|text| (String::from("password"), Value::Text(text.to_owned()))));
    let identity = Identity { token: format!("token{id}"), instance: String::from("i") };
    Record { id, owner: 1000, shared: false, settings: Settings::create(values).unwrap(), identity }
}

fn load(root: &Path) -> (u32, Loaded) {
    let (store, loaded) = Store::open(root, RealFiles, Seal::default()).unwrap();
    (store.next_id(), loaded)
}

fn profiles(root: &Path) -> Vec<Record> {
    let (_, loaded) = load(root);
    assert_eq!(loaded.set_aside, []);
    loaded.profiles
}

type Op = fn(&mut Store<StoppingFiles>) -> Result<(), StoreError>;

/// Runs `op` on a store of two profiles, stopped after every step in turn, with and without losing what was not
/// synced; `check` sees whether it was acknowledged and what is there afterwards.
fn stopped_everywhere(op: Op, check: impl Fn(bool, &[Record], u32, &Loaded)) {
    for loses in [false, true] {
        for steps in 0.. {
            let dir = tempfile::tempdir().unwrap();
            {
                let (mut store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
                store.save(&record(1, "one", Some("old"), false), false).unwrap();
                store.save(&record(2, "two", None, true), false).unwrap();
            }
            let opening = {
                let counting = StoppingFiles::after(usize::MAX, false);
                let (store, _) = Store::open(dir.path(), counting, Seal::default()).unwrap();
                usize::MAX - store.files.steps.get()
            };
            let (mut store, _) =
                Store::open(dir.path(), StoppingFiles::after(opening + steps, loses), Seal::default())
                    .unwrap();
            let acknowledged = op(&mut store).is_ok();
            let done = store.files.steps.get() > 0;
            if loses {
                store.files.crash();
            }
            drop(store);
            let (next_id, loaded) = load(dir.path());
            assert_eq!(loaded.set_aside, [], "after {steps} steps");
            check(acknowledged, &loaded.profiles, next_id, &loaded);
            let markers: Vec<_> = fs::read_dir(dir.path().join("auto-register")).unwrap().collect();
            let auto = loaded.profiles.iter().filter(|record| record.settings.auto_register()).count();
            assert_eq!(markers.len(), auto, "L5: a marker for each AutoRegister profile");
            if done {
                break;
            }
        }
    }
}

fn old() -> Vec<Record> {
    vec![record(1, "one", Some("old"), false), record(2, "two", None, true)]
}

#[test]
fn u1_create_stopped_after_every_step_leaves_it_whole_or_not_there() {
    stopped_everywhere(
        |store| store.save(&record(3, "three", Some("secret"), true), false),
        |acknowledged, found, next_id, _| {
            let mut new = old();
            new.push(record(3, "three", Some("secret"), true));
            assert!(found == new || (!acknowledged && found == old()), "{acknowledged} {found:?}");
            assert!(!acknowledged || next_id == 4);
        },
    );
}

#[test]
fn u1_update_with_password_stopped_after_every_step_leaves_old_or_new() {
    stopped_everywhere(
        |store| store.save(&record(1, "uno", Some("new"), true), false),
        |acknowledged, found, _, _| {
            let new = vec![record(1, "uno", Some("new"), true), record(2, "two", None, true)];
            assert!(found == new || (!acknowledged && found == old()), "{acknowledged} {found:?}");
        },
    );
}

#[test]
fn u1_update_that_clears_the_password_stopped_after_every_step() {
    stopped_everywhere(
        |store| store.save(&record(1, "one", None, false), false),
        |acknowledged, found, _, _| {
            let new = vec![record(1, "one", None, false), record(2, "two", None, true)];
            assert!(found == new || (!acknowledged && found == old()), "{acknowledged} {found:?}");
        },
    );
}

#[test]
fn u1_remove_stopped_after_every_step_never_gives_the_id_again() {
    stopped_everywhere(
        |store| store.remove(2, false),
        |acknowledged, found, next_id, _| {
            let new = vec![record(1, "one", Some("old"), false)];
            assert!(found == new || (!acknowledged && found == old()), "{acknowledged} {found:?}");
            assert_eq!(next_id, 3);
        },
    );
}

#[test]
fn u1_default_stopped_after_every_step_is_old_or_new() {
    stopped_everywhere(
        |store| store.set_default(1000, 2),
        |acknowledged, found, _, loaded| {
            assert_eq!(found, old());
            let set = loaded.defaults == BTreeMap::from([(1000, 2)]);
            assert!(set || (!acknowledged && loaded.defaults.is_empty()));
        },
    );
}

#[test]
fn u2_an_unreadable_profile_is_set_aside_and_the_rest_loads() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
        for id in 1..=3 {
            store.save(&record(id, "x", Some("p"), false), false).unwrap();
        }
        store.set_default(1000, 3).unwrap();
    }
    fs::write(dir.path().join("profiles/2.json"), "{ half").unwrap();
    let (next_id, loaded) = load(dir.path());
    assert_eq!(loaded.profiles.iter().map(|record| record.id).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(loaded.set_aside[0].0, dir.path().join("profiles/2.json.unreadable"));
    assert_eq!(loaded.defaults, BTreeMap::from([(1000, 3)]));
    assert_eq!(next_id, 4);
    assert!(dir.path().join("secrets/2.1.json").exists(), "its secrets stay with it");
    assert_eq!(profiles(dir.path()).len(), 2, "the next start finds nothing more to set aside");
}

#[test]
fn u2_a_file_with_a_setting_that_cannot_be_taken_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
        store.save(&record(1, "x", None, false), false).unwrap();
    }
    let path = dir.path().join("profiles/1.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"display-name\": \"x\"", "\"headers\": [\"X: a\\r\\nVia: b\"]")).unwrap();
    let (_, loaded) = load(dir.path());
    assert_eq!(loaded.profiles, []);
    assert!(loaded.set_aside[0].1.contains("headers"), "{:?}", loaded.set_aside);
}

#[test]
fn secrets_stand_apart_and_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(&dir.path().join("state"), RealFiles, Seal::default()).unwrap();
    store.save(&record(1, "x", Some("hunter2"), false), false).unwrap();
    let root = dir.path().join("state");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("secrets")), 0o700);
    assert_eq!(mode(&root.join("secrets/1.1.json")), 0o600);
    assert_eq!(mode(&root.join("profiles/1.json")), 0o600);
    assert!(!fs::read_to_string(root.join("profiles/1.json")).unwrap().contains("hunter2"));
}

#[test]
fn l6_a_second_instance_does_not_get_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
    assert!(matches!(Store::open(dir.path(), RealFiles, Seal::default()), Err(StoreError::Locked(_))));
}

#[test]
fn an_id_is_not_given_again_after_a_removal_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
        store.save(&record(7, "x", None, false), false).unwrap();
        store.remove(7, false).unwrap();
        assert_eq!(store.next_id(), 8);
    }
    assert_eq!(load(dir.path()).0, 8);
}

#[derive(Clone, Debug)]
enum Change {
    Save(u32, Option<u8>, bool),
    Remove(u32),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (1..5u32, proptest::option::of(0..3u8), any::<bool>()).prop_map(|(id, p, a)| Change::Save(id, p, a)),
        1 => (1..5u32).prop_map(Change::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_on_disk_is_what_was_acknowledged(
        changes in proptest::collection::vec(change(), 1..12), steps in 0..80usize, loses: bool
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model: BTreeMap<u32, Record> = BTreeMap::new();
        let mut in_doubt = None;
        let opened = Store::open(dir.path(), StoppingFiles::after(4 + steps, loses), Seal::default());
        if let Ok((mut store, _)) = opened {
            for change in changes {
                let (id, after, result) = match change {
                    Change::Save(id, password, auto) => {
                        let record = record(id, "x", password.map(|n| n.to_string()).as_deref(), auto);
                        let result = store.save(&record, false);
                        (id, Some(record), result)
                    }
                    Change::Remove(id) if model.contains_key(&id) => (id, None, store.remove(id, false)),
                    Change::Remove(_) => continue,
                };
                if result.is_err() {
                    in_doubt = Some((id, after));
                    break;
                }
                match after {
                    Some(record) => model.insert(id, record),
                    None => model.remove(&id),
                };
            }
            if loses {
                store.files.crash();
            }
        }
        let found: BTreeMap<u32, Record> =
            profiles(dir.path()).into_iter().map(|record| (record.id, record)).collect();
        let mut other = model.clone();
        if let Some((id, after)) = in_doubt {
            match after {
                Some(record) => other.insert(id, record),
                None => other.remove(&id),
            };
        }
        prop_assert!(found == model || found == other);
    }
}

#[test]
fn l5_the_boot_units_directory_holds_a_marker_for_each_auto_register_profile() {
    let dir = tempfile::tempdir().unwrap();
    let marked = || -> Vec<String> {
        let entries = fs::read_dir(dir.path().join("auto-register")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let (mut store, _) = Store::open(dir.path(), RealFiles, Seal::default()).unwrap();
    store.save(&record(1, "x", None, false), false).unwrap();
    assert_eq!(marked(), Vec::<String>::new(), "a boot without any starts nothing");
    store.save(&record(2, "x", None, true), false).unwrap();
    assert_eq!(marked(), ["2"]);
    store.save(&record(2, "x", None, false), false).unwrap();
    assert_eq!(marked(), Vec::<String>::new());
    store.save(&record(2, "x", None, true), false).unwrap();
    store.remove(2, false).unwrap();
    assert_eq!(marked(), Vec::<String>::new());
}

#[test]
fn sealed_secrets_are_read_with_their_key_only_and_a_missing_key_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let key = || Seal::with(b"0123456789abcdef0123456789abcdef");
    let (mut store, _) = Store::open(dir.path(), RealFiles, key()).unwrap();
    let kept = record(1, "alice", Some("secret"), false);
    store.save(&kept, false).unwrap();
    drop(store);
    let text = fs::read_to_string(dir.path().join("secrets/1.1.json")).unwrap();
    assert!(text.contains("sealed") && !text.contains("secret\""), "{text}");

    let error = Store::open(dir.path(), RealFiles, Seal::default()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("secrets/1.1.json") && error.contains("sip-profiles-key"), "{error}");
    let (store, loaded) = Store::open(dir.path(), RealFiles, key()).unwrap();
    assert_eq!(loaded.profiles, [kept], "nothing was set aside");
    assert!(store.is_sealed());
}
