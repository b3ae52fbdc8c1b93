//! From settings to fields and back.

use std::collections::BTreeMap;

use super::{Entries, Entry, Field, Kind, Settings, Value};
use crate::text;

/// What `off` means on the bus.
const OFF: i64 = u32::MAX as i64;

/// What has to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Settings to set.
    pub set: BTreeMap<&'static str, Value>,
    /// Settings to go back to their defaults.
    pub unset: Vec<&'static str>,
}

impl Change {
    /// Is there nothing to send?
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }
}

/// A field that cannot be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which.
    pub field: Field,
    /// One sentence that says what to change.
    pub message: String,
}

/// How `field` looks for these settings.
pub fn shown(stored: &Settings, field: Field) -> Entry {
    let value = stored.get(field.key());
    match (field.kind(), value) {
        (Kind::Password | Kind::SecretPem, _) => Entry::Kept,
        (Kind::Flag, value) => Entry::Flag(value == Some(&Value::Flag(true))),
        (Kind::Choice(words), None) => Entry::Text(words[0].to_owned()),
        (_, None) => Entry::Text(String::new()),
        (Kind::Interval, Some(Value::Number(OFF))) => Entry::Text(String::from(text::OFF)),
        (_, Some(Value::Text(text))) if field == Field::Aor => {
            Entry::Text(text.strip_prefix("sip:").unwrap_or(text).to_owned())
        }
        (_, Some(Value::Text(text))) => Entry::Text(text.clone()),
        (_, Some(Value::Number(number))) => Entry::Text(number.to_string()),
        (_, Some(Value::List(items))) => Entry::Text(items.join("\n")),
        (_, Some(_)) => Entry::Text(String::new()),
    }
}

/// Does somebody want nobody to edit this?
pub fn is_locked(stored: &Settings) -> bool {
    stored.get("locked") == Some(&Value::Flag(true))
}

/// What to send so that the `stored` settings become what the fields say. A field that is not among the `entries`
/// stays as it is.
pub fn change(stored: &Settings, entries: &Entries) -> Result<Change, Mistake> {
    let mut change = Change::default();
    for (&field, entry) in entries {
        if *entry == shown(stored, field) {
            continue;
        }
        let was = stored.get(field.key());
        match wanted(field, entry).map_err(|message| Mistake { field, message })? {
            Wanted::Kept => {}
            Wanted::Set(value) if was == Some(&value) => {}
            Wanted::Set(value) => {
                change.set.insert(field.key(), value);
            }
            Wanted::Unset if was.is_some() || *entry == Entry::Cleared => change.unset.push(field.key()),
            Wanted::Unset => {}
        }
    }
    let is_new = !stored.contains_key(Field::Aor.key());
    if is_new && !change.set.contains_key(Field::Aor.key()) {
        return Err(Mistake { field: Field::Aor, message: String::from(text::ADDRESS_MISSING) });
    }
    Ok(change)
}

enum Wanted {
    Kept,
    Unset,
    Set(Value),
}

fn wanted(field: Field, entry: &Entry) -> Result<Wanted, String> {
    let typed = match entry {
        Entry::Kept => return Ok(Wanted::Kept),
        Entry::Cleared => return Ok(Wanted::Unset),
        Entry::New(secret) => return Ok(Wanted::Set(Value::Secret(secret.clone()))),
        Entry::Flag(flag) => return Ok(Wanted::Set(Value::Flag(*flag))),
        Entry::Text(text) => text,
    };
    let trimmed = typed.trim();
    if trimmed.is_empty() {
        return if field == Field::Aor {
            Err(String::from(text::ADDRESS_MISSING))
        } else {
            Ok(Wanted::Unset)
        };
    }
    Ok(match field.kind() {
        Kind::Choice(words) if trimmed == words[0] => Wanted::Unset,
        Kind::Interval if trimmed.eq_ignore_ascii_case(text::OFF) => Wanted::Set(Value::Number(OFF)),
        Kind::Number | Kind::Interval => match trimmed.parse::<u32>() {
            Ok(number) => Wanted::Set(Value::Number(number.into())),
            Err(_) => return Err(text::no_number(trimmed)),
        },
        Kind::Lines => {
            let items = typed.lines().map(str::trim).filter(|line| !line.is_empty());
            Wanted::Set(Value::List(items.map(str::to_owned).collect()))
        }
        Kind::Pem => Wanted::Set(Value::Text(typed.clone())),
        _ => Wanted::Set(Value::Text(trimmed.to_owned())),
    })
}

/// The field that an InvalidSetting's sentence (`key: what is wrong`) is about, and the rest of the sentence.
pub fn blamed(message: &str) -> Option<Mistake> {
    let field_of = |key: &str| Field::ALL.into_iter().find(|field| field.key() == key);
    if let Some((key, rest)) = message.split_once(':')
        && let Some(field) = field_of(key.trim())
    {
        return Some(Mistake { field, message: text::sentence(rest) });
    }
    // A sentence about the whole (a size, a contradiction) names its key somewhere.
    let words = message.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'));
    let field = words.filter(|word| word.contains('-') || *word == "aor").find_map(field_of)?;
    Some(Mistake { field, message: text::sentence(message) })
}
