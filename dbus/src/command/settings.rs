//! From `KEY=VALUE` to `a{sv}`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use zbus::Variant;

/// Settings to send.
pub type Settings = BTreeMap<String, Variant<'static>>;

/// How much is read of a file: more than any setting may have.
pub const MOST: u64 = 512 * 1024;

/// Secrets are not given on a command line: other users see it.
const SECRETS: [&str; 2] = ["password", "tls-key"];

/// Parses `KEY=VALUE …`. A key of type `as` may be given several times; `KEY=@FILE` takes a file's text. What the
/// service does not know, it refuses itself.
pub fn parse(words: &[String]) -> Result<Settings, String> {
    let mut settings = Settings::new();
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("{word:?} is no setting: write KEY=VALUE"));
        };
        let from_file = value.strip_prefix('@');
        if SECRETS.contains(&key) && from_file.is_none() {
            return Err(match key {
                "password" => {
                    String::from("a password is seen by others here: use `sip-profiles set-password`")
                }
                _ => format!("a key is seen by others here: give its file, as {key}=@FILE"),
            });
        }
        let text = match from_file {
            Some(path) => text_of(key, path)?,
            None => value.to_owned(),
        };
        if matches!(key, "contact-params" | "headers") {
            lists.entry(key.to_owned()).or_default().push(text);
        } else if settings.insert(key.to_owned(), variant(key, text)?).is_some() {
            return Err(format!("{key} is given twice"));
        }
    }
    settings.extend(lists.into_iter().map(|(key, list)| (key, Variant::from(list))));
    Ok(settings)
}

/// The text of a file. A line end at its end belongs to the file, not to the setting, unless that is PEM.
fn text_of(key: &str, path: &str) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MOST).read_to_string(&mut text))
        .map_err(|error| format!("{key}: {path} cannot be read: {error}"))?;
    if text.len() as u64 == MOST {
        return Err(format!("{key}: {path} is longer than any setting may be"));
    }
    // The bus would close the connection for it.
    if text.contains('\0') {
        return Err(format!("{key}: must not hold control characters, as {path} does"));
    }
    if !matches!(key, "tls-ca" | "tls-certificate" | "tls-key") {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    Ok(text)
}

fn variant(key: &str, text: String) -> Result<Variant<'static>, String> {
    Ok(match key {
        "expires" | "keepalive" | "dscp" => {
            let number: u32 = text
                .parse()
                .map_err(|_| format!("{key}: {text:?} is no whole number from 0 to {}", u32::MAX))?;
            Variant::from(number)
        }
        "auto-register" | "locked" => match text.as_str() {
            "true" | "yes" | "on" | "1" => Variant::from(true),
            "false" | "no" | "off" | "0" => Variant::from(false),
            _ => return Err(format!("{key}: {text:?} is neither yes nor no")),
        },
        _ => Variant::from(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Settings, String> {
        parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn each_key_gets_its_type() {
        let settings =
            parsed(&["expires=600", "auto-register=yes", "realm=a=b", "headers=X: 1", "headers=Y: 2"])
                .unwrap();
        assert_eq!(settings["expires"], Variant::from(600u32));
        assert_eq!(settings["auto-register"], Variant::from(true));
        assert_eq!(settings["realm"], Variant::from("a=b"));
        assert_eq!(settings["headers"], Variant::from(vec!["X: 1", "Y: 2"]));
    }

    #[test]
    fn secrets_and_nonsense_are_refused() {
        for words in
            [&["password=x"][..], &["tls-key=x"], &["expires=x"], &["locked=x"], &["x"], &["a=1", "a=2"]]
        {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        assert!(!parsed(&["password=hunter2"]).unwrap_err().contains("hunter2"));
    }

    #[test]
    fn the_last_line_end_of_a_file_is_its_own_except_in_pem() {
        let file = std::env::temp_dir().join(format!("sip-profiles-settings-{}", std::process::id()));
        std::fs::write(&file, "600\r\n").unwrap();
        let words = ["expires", "realm", "headers", "tls-ca"].map(|key| format!("{key}=@{}", file.display()));
        let settings = parse(&words);
        std::fs::remove_file(&file).unwrap();
        let settings = settings.unwrap();
        assert_eq!(settings["expires"], Variant::from(600u32));
        assert_eq!(settings["realm"], Variant::from("600"));
        assert_eq!(settings["headers"], Variant::from(vec!["600"]));
        assert_eq!(settings["tls-ca"], Variant::from("600\r\n"));
    }
}
