//! The icons, and where panels find them.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Icon;

macro_rules! picture {
    ($state:literal) => {
        include_str!(concat!("../icons/hicolor/symbolic/status/sip-profiles-", $state, "-symbolic.svg"))
    };
}
/// A state, its name, and its picture. GTK recolours only names that end in `-symbolic`.
const ICONS: [(Icon, &str, &str); 6] = [
    (Icon::NoService, "sip-profiles-no-service", picture!("no-service")),
    (Icon::Off, "sip-profiles-off", picture!("off")),
    (Icon::Connecting, "sip-profiles-connecting", picture!("connecting")),
    (Icon::Registered, "sip-profiles-registered", picture!("registered")),
    (Icon::Partly, "sip-profiles-partly", picture!("partly")),
    (Icon::Error, "sip-profiles-error", picture!("error")),
];

/// The icon's name in the theme.
pub fn name(icon: Icon) -> String {
    let name = ICONS.iter().find(|(state, ..)| *state == icon).map_or("", |(_, name, _)| name);
    format!("{name}-symbolic")
}

/// The IconThemePath: empty where the icons are installed, else a folder that they are written to, which is the
/// *parent* of `hicolor`: panels draw a blank gap for the folder itself.
pub fn theme_path() -> String {
    if data_folders().iter().any(|folder| is_installed(folder)) {
        return String::new();
    }
    let Some(folder) = runtime_folder() else {
        eprintln!("sip-profiles-tray: no icons: XDG_RUNTIME_DIR is not set");
        return String::new();
    };
    match write(&folder) {
        Ok(()) => folder.display().to_string(),
        Err(error) => {
            eprintln!("sip-profiles-tray: no icons: {}: {error}", folder.display());
            String::new()
        }
    }
}

fn data_folders() -> Vec<PathBuf> {
    let absolute = |text: String| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let home = std::env::var("XDG_DATA_HOME").ok().and_then(absolute);
    let home =
        home.or_else(|| std::env::var("HOME").ok().and_then(absolute).map(|home| home.join(".local/share")));
    let shared = std::env::var("XDG_DATA_DIRS").ok().filter(|text| !text.is_empty());
    let shared = shared.unwrap_or_else(|| String::from("/usr/local/share:/usr/share"));
    home.into_iter().chain(std::env::split_paths(&shared)).collect()
}

fn is_installed(data: &Path) -> bool {
    let status = data.join("icons/hicolor/scalable/status");
    ICONS.iter().all(|(_, name, _)| status.join(format!("{name}-symbolic.svg")).is_file())
}

/// `None` where the session has none: in a folder that all users share others could put files in our place.
fn runtime_folder() -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    Some(runtime?.join("sip-profiles-tray/icons"))
}

fn write(folder: &Path) -> io::Result<()> {
    let symbolic = folder.join("hicolor/symbolic/status");
    let scalable = folder.join("hicolor/scalable/status");
    std::fs::create_dir_all(&symbolic)?;
    std::fs::create_dir_all(&scalable)?;
    for (_, name, picture) in ICONS {
        std::fs::write(symbolic.join(format!("{name}-symbolic.svg")), picture)?;
        // GTK looks only into the folders of the system's index, and older ones have no symbolic/status.
        std::fs::write(scalable.join(format!("{name}-symbolic.svg")), picture)?;
        std::fs::write(scalable.join(format!("{name}.svg")), picture)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_folders_have_the_same_six_different_pictures() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("icons/hicolor/scalable/status");
        let mut seen = std::collections::BTreeSet::new();
        for (_, name, picture) in ICONS {
            for file in [format!("{name}.svg"), format!("{name}-symbolic.svg")] {
                let other = std::fs::read_to_string(folder.join(&file)).expect("it is there");
                assert_eq!(other, picture, "{file}");
            }
            assert!(seen.insert(picture), "{name} looks as another one");
        }
    }

    /// GTK fills these shapes and no others, and draws no line.
    #[test]
    fn a_picture_has_only_what_both_toolkits_recolour() {
        for (_, name, picture) in ICONS {
            assert!(!picture.contains("stroke"), "{name}");
            for element in ["path", "circle", "rect"] {
                for part in picture.split(&format!("<{element}")).skip(1) {
                    let attributes = part.split("/>").next().unwrap_or_default();
                    assert!(attributes.contains("ColorScheme-"), "{name}: {attributes}");
                    assert!(attributes.contains("fill=\"currentColor\""), "{name}: {attributes}");
                }
            }
        }
    }

    #[test]
    fn what_is_written_counts_as_installed() {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join("icons")).expect("our own folder");
        assert!(is_installed(folder.path()));
        assert!(!is_installed(&folder.path().join("icons")));
    }
}
