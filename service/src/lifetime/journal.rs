//! The journal of holds, sessions and registrations in the runtime directory (semantics H9, E9).
//!
//! A file of JSON lines. Each change is one line and one `write`, made before the reply that acknowledges it: the
//! page cache outlives any end of the process, and the directory does not outlive the boot, so nothing is synced.
//! When most lines are overtaken, the file is written anew beside and renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plain_file;
use crate::registry::effect::{Note, ProfileMemory};

/// A journal past that is none of ours, bytes: the limits of the contract leave room for far less.
const LARGEST: u64 = 256 * 1024 * 1024;
/// Overtaken lines kept before the file is written anew, beyond as many as there are living ones.
const SLACK: usize = 1000;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The first line: which boot and which bus the rest is about.
    Journal {
        boot: String,
        bus: String,
    },
    Session {
        name: String,
        uid: u32,
    },
    SessionGone {
        name: String,
    },
    Hold {
        name: String,
        profile: u32,
        token: String,
    },
    HoldGone {
        name: String,
        profile: u32,
        token: String,
    },
    Agent {
        name: String,
        path: String,
    },
    AgentGone {
        name: String,
    },
    Memory {
        profile: u32,
        memory: Box<ProfileMemory>,
    },
    MemoryGone {
        profile: u32,
    },
}

/// What the journal says is so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Sessions: bus name and uid.
    pub sessions: BTreeMap<String, u32>,
    /// Holds: bus name, profile, token.
    pub holds: BTreeSet<(String, u32, String)>,
    /// Secret agents: bus name and object path, oldest first.
    pub agents: Vec<(String, String)>,
    /// What is known of the profiles' registrations.
    pub memories: BTreeMap<u32, ProfileMemory>,
}

impl Standing {
    fn take(&mut self, line: Line) {
        match line {
            Line::Journal { .. } => {}
            Line::Session { name, uid } => drop(self.sessions.insert(name, uid)),
            Line::SessionGone { name } => drop(self.sessions.remove(&name)),
            Line::Hold { name, profile, token } => drop(self.holds.insert((name, profile, token))),
            Line::HoldGone { name, profile, token } => drop(self.holds.remove(&(name, profile, token))),
            Line::Agent { name, path } => {
                self.agents.retain(|(other, _)| *other != name);
                self.agents.push((name, path));
            }
            Line::AgentGone { name } => self.agents.retain(|(other, _)| *other != name),
            Line::Memory { profile, memory } => drop(self.memories.insert(profile, *memory)),
            Line::MemoryGone { profile } => drop(self.memories.remove(&profile)),
        }
    }

    fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let sessions =
            self.sessions.iter().map(|(name, uid)| Line::Session { name: name.clone(), uid: *uid });
        let holds = self.holds.iter().map(|(name, profile, token)| Line::Hold {
            name: name.clone(),
            profile: *profile,
            token: token.clone(),
        });
        let agents =
            self.agents.iter().map(|(name, path)| Line::Agent { name: name.clone(), path: path.clone() });
        let memories = self
            .memories
            .iter()
            .map(|(profile, memory)| Line::Memory { profile: *profile, memory: Box::new(memory.clone()) });
        sessions.chain(holds).chain(agents).chain(memories)
    }

    fn len(&self) -> usize {
        self.sessions.len() + self.holds.len() + self.agents.len() + self.memories.len()
    }
}

impl From<&Note> for Line {
    fn from(note: &Note) -> Line {
        match note.clone() {
            Note::SessionAdded(name, uid) => Line::Session { name: name.to_string(), uid },
            Note::SessionGone(name) => Line::SessionGone { name: name.to_string() },
            Note::HoldAdded(name, profile, token) => Line::Hold { name: name.to_string(), profile, token },
            Note::HoldGone(name, profile, token) => Line::HoldGone { name: name.to_string(), profile, token },
            Note::AgentAdded(name, path) => Line::Agent { name: name.to_string(), path },
            Note::AgentGone(name) => Line::AgentGone { name: name.to_string() },
            Note::Memory(profile, memory) => Line::Memory { profile, memory },
            Note::MemoryGone(profile) => Line::MemoryGone { profile },
        }
    }
}

/// Why the journal cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
pub struct JournalError {
    path: PathBuf,
    cause: io::Error,
}

/// The journal, open for writing.
pub struct Journal {
    path: PathBuf,
    /// `None`: what it holds is not what is so (the file system was full), it has to be written anew.
    file: Option<File>,
    head: Line,
    standing: Standing,
    lines: usize,
}

impl Journal {
    /// Reads what a predecessor left in `dir` and goes on from there. Of another boot nothing is taken over; of
    /// another bus (its GUID) only what is known of registrations: bus names mean other clients there. One that cannot
    /// be read is set aside; where it cannot be written, what is read is still served.
    pub fn open(dir: &Path, boot: &str, bus: &str) -> Result<(Self, Standing), JournalError> {
        let path = dir.join("journal");
        let at = |cause| JournalError { path: path.clone(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at)?;
        let standing = match plain_file::read(&path, LARGEST) {
            Ok(text) => replay(&text, boot, bus),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::default(),
            Err(cause) => {
                let error = at(cause);
                tracing::error!("the clients' holds are lost, the journal cannot be read: {error}");
                let _ = fs::rename(&path, path.with_extension("unreadable"));
                Standing::default()
            }
        };
        let head = Line::Journal { boot: boot.to_owned(), bus: bus.to_owned() };
        let mut journal = Self { path, file: None, head, standing: standing.clone(), lines: 0 };
        if let Err(error) = journal.write_anew() {
            tracing::error!("holds would not survive a crash now: {error}");
        }
        Ok((journal, standing))
    }

    /// Notes one change.
    pub fn record(&mut self, note: &Note) -> Result<(), JournalError> {
        let line = Line::from(note);
        let appended = self.append(&line);
        self.standing.take(line);
        self.lines += 1;
        if !matches!(appended, Ok(true)) || self.lines > 2 * self.standing.len() + SLACK {
            // A line that was written in part must not be followed by others.
            self.write_anew()?;
        }
        Ok(())
    }

    /// Forgets sessions, with their holds and agents, that `lives` says are gone: they went while nobody was listening.
    pub fn forget_dead(&mut self, lives: impl Fn(&str) -> bool) -> Result<(), JournalError> {
        self.standing.sessions.retain(|name, _| lives(name));
        let sessions = &self.standing.sessions;
        self.standing.holds.retain(|(name, ..)| sessions.contains_key(name));
        self.standing.agents.retain(|(name, _)| sessions.contains_key(name));
        self.write_anew()
    }

    fn write_anew(&mut self) -> Result<(), JournalError> {
        self.file = None;
        let anew = write_anew(&self.path, &self.head, &self.standing);
        self.file = Some(anew.map_err(|cause| JournalError { path: self.path.clone(), cause })?);
        self.lines = self.standing.len();
        Ok(())
    }

    /// False: the file has to be written anew instead.
    fn append(&mut self, line: &Line) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text).map(|()| true)
    }
}

fn write_anew(path: &Path, head: &Line, standing: &Standing) -> io::Result<File> {
    let beside = path.with_extension("new");
    let mut text = Vec::new();
    for line in std::iter::once(head.clone()).chain(standing.lines()) {
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(&text)?;
    fs::rename(&beside, path)?;
    Ok(file)
}

/// What the lines of `text` add up to. A last line without its end was never acknowledged.
fn replay(text: &[u8], boot: &str, bus: &str) -> Standing {
    let mut standing = Standing::default();
    let (mut same_bus, mut damaged) = (false, 0);
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    for (number, line) in text[..whole].split(|byte| *byte == b'\n').enumerate() {
        match (number, serde_json::from_slice(line)) {
            (0, Ok(Line::Journal { boot: its_boot, bus: its_bus })) if its_boot == boot => {
                same_bus = its_bus == bus;
            }
            (0, Ok(Line::Journal { .. })) => return Standing::default(),
            (0, _) => {
                tracing::error!("the clients' holds are lost: the journal does not begin as one");
                return Standing::default();
            }
            (_, Ok(line)) => standing.take(line),
            (_, Err(_)) => damaged += usize::from(!line.is_empty()),
        }
    }
    if damaged > 0 {
        tracing::error!("{damaged} lines of the journal cannot be read: holds may be lost");
    }
    if !same_bus {
        standing.sessions.clear();
        standing.holds.clear();
        standing.agents.clear();
    }
    standing
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::call::Name;

    fn note() -> impl Strategy<Value = Note> {
        let name = || (0..3u8).prop_map(|n| Name::from(format!(":1.{n}")));
        let token = || prop_oneof![Just(String::new()), Just(String::from("a\"\\é"))];
        let memory = |forced_off| Box::new(ProfileMemory { forced_off, ..ProfileMemory::default() });
        prop_oneof![
            (name(), 0..2u32).prop_map(|(name, uid)| Note::SessionAdded(name, uid)),
            name().prop_map(Note::SessionGone),
            (name(), 1..3u32, token()).prop_map(|(name, id, token)| Note::HoldAdded(name, id, token)),
            (name(), 1..3u32, token()).prop_map(|(name, id, token)| Note::HoldGone(name, id, token)),
            (1..3u32, any::<bool>()).prop_map(move |(id, off)| Note::Memory(id, memory(off))),
            (1..3u32).prop_map(Note::MemoryGone),
        ]
    }

    fn model(notes: &[Note]) -> Standing {
        let mut standing = Standing::default();
        for note in notes {
            standing.take(Line::from(note));
        }
        standing
    }

    fn written(dir: &Path, notes: &[Note]) -> PathBuf {
        let (mut journal, _) = Journal::open(dir, "boot", "bus").unwrap();
        for note in notes {
            journal.record(note).unwrap();
        }
        dir.join("journal")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn h9_a_journal_torn_anywhere_says_what_its_whole_lines_say(
            notes in proptest::collection::vec(note(), 0..20), torn in 0..40usize
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = written(dir.path(), &notes);
            let text = fs::read(&path).unwrap();
            let head = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let cut = text.len().saturating_sub(torn).max(head);
            fs::write(&path, &text[..cut]).unwrap();
            let whole = text[..cut].iter().filter(|byte| **byte == b'\n').count() - 1;
            let (_, standing) = Journal::open(dir.path(), "boot", "bus").unwrap();
            prop_assert_eq!(standing, model(&notes[..whole]));
        }
    }

    #[test]
    fn writing_anew_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut notes = vec![Note::SessionAdded(":1.1".into(), 7)];
        for number in 0..3 * SLACK {
            let token = (number % 5).to_string();
            notes.push(if number % 2 == 0 {
                Note::HoldAdded(":1.1".into(), 1, token)
            } else {
                Note::HoldGone(":1.1".into(), 1, token)
            });
        }
        let path = written(dir.path(), &notes);
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < 2 * SLACK, "{lines} lines");
        assert_eq!(Journal::open(dir.path(), "boot", "bus").unwrap().1, model(&notes));
    }

    #[test]
    fn a_journal_that_cannot_be_read_or_written_keeps_nobody_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        fs::create_dir(&path).unwrap();
        let notes = [Note::SessionAdded(":1.1".into(), 7)];
        written(dir.path(), &notes);
        assert_eq!(Journal::open(dir.path(), "boot", "bus").unwrap().1, model(&notes));
        fs::write(&path, "no journal\n").unwrap();
        assert_eq!(Journal::open(dir.path(), "boot", "bus").unwrap().1, Standing::default());
        written(dir.path(), &notes);
        fs::create_dir(path.with_extension("new")).unwrap();
        let (mut journal, standing) = Journal::open(dir.path(), "boot", "bus").unwrap();
        assert_eq!(standing, model(&notes));
        assert!(journal.record(&notes[0]).is_err());
    }

    #[test]
    fn h9_another_bus_has_other_clients_and_another_boot_other_times() {
        let dir = tempfile::tempdir().unwrap();
        let notes = [
            Note::SessionAdded(":1.1".into(), 7),
            Note::HoldAdded(":1.1".into(), 1, String::new()),
            Note::Memory(1, Box::default()),
        ];
        written(dir.path(), &notes);
        let (_, standing) = Journal::open(dir.path(), "boot", "another bus").unwrap();
        assert_eq!((standing.sessions.len(), standing.holds.len(), standing.memories.len()), (0, 0, 1));
        written(dir.path(), &notes);
        let (_, standing) = Journal::open(dir.path(), "another boot", "bus").unwrap();
        assert_eq!(standing, Standing::default());
    }
}
