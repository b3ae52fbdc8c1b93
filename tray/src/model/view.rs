//! What the panel shows.

use std::collections::HashMap;

use super::{Model, Profile, Standing};
use crate::{plain, text};

/// The lines of a tooltip, at most.
const TOOLTIP_LINES: usize = 12;

/// The six states of the icon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Icon {
    /// The service does not answer.
    #[default]
    NoService,
    /// Nothing is wanted.
    Off,
    /// None of the wanted is registered yet.
    Connecting,
    /// All wanted are registered.
    Registered,
    /// Some of them.
    Partly,
    /// One needs a person.
    Error,
}

/// A profile in the menu.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: u32,
    /// Its name, told apart from others'.
    pub name: String,
    /// Name and state.
    pub label: String,
    /// Wanted by this applet, or kept registered by AutoRegister.
    pub checked: bool,
}

/// All that the panel shows, as plain text: escaping is the tray's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The icon.
    pub icon: Icon,
    /// The whole in one line.
    pub summary: String,
    /// The profiles, a line each.
    pub lines: Vec<String>,
    /// The profiles.
    pub rows: Vec<Row>,
    /// The place of the default one.
    pub default: Option<usize>,
    /// The service answers.
    pub service: bool,
    /// There is something to retry.
    pub retry: bool,
    /// The label of the password row, when there is one.
    pub password: Option<String>,
    /// The label of the AutoRegister question's row, when there is one.
    pub question: Option<String>,
}

fn can_be_retried(profile: &Profile) -> bool {
    profile.standing() != Standing::Registered || profile.is_degraded()
}

impl Model {
    /// What the panel shows now.
    pub fn view(&self) -> View {
        let icon = self.icon();
        let rows = self.rows();
        let mut lines: Vec<String> = rows.iter().take(TOOLTIP_LINES).map(|row| row.label.clone()).collect();
        if rows.len() > TOOLTIP_LINES {
            lines.push(text::and_more(rows.len() - TOOLTIP_LINES));
        }
        let title = |id: u32| self.title(Some(id));
        View {
            icon,
            summary: self.summary(icon),
            lines,
            default: self.default.and_then(|id| rows.iter().position(|row| row.id == id)),
            rows,
            service: self.ready,
            retry: !self.up || self.wanted().any(can_be_retried),
            password: self.password_label(),
            question: self.question.map(|id| text::turn_auto_register_off(&title(id))),
        }
    }

    /// The profile that the password row is about: one that is asked for, else one that needs it.
    pub(super) fn password_wanted_for(&self) -> Option<u32> {
        let needs = |profile: &&Profile| {
            let refused = matches!(profile.error.as_str(), "Registration.Unauthorized" | "NoSecret");
            profile.needs_secret || (profile.is_stopped() && refused)
        };
        let asked = self.prompts.current().map(|(id, _)| id);
        asked.or_else(|| self.wanted().find(needs).filter(|_| self.ready).map(|profile| profile.id))
    }

    fn password_label(&self) -> Option<String> {
        if let Some((id, details)) = self.prompts.current() {
            let known = self.profiles.contains_key(&id);
            let name = if known { self.title(Some(id)) } else { details.display_name.clone() };
            return Some(text::enter_password_for(&name));
        }
        self.password_wanted_for().map(|id| text::enter_password_for(&self.title(Some(id))))
    }

    /// Those that somebody wants registered.
    fn wanted(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values().filter(|profile| {
            let id = profile.id;
            let standing = profile.standing();
            let dismissed = standing == Standing::Failed && self.dismissed.contains(&id);
            self.wishes.contains(&id) || (!dismissed && (profile.users > 0 || standing != Standing::Off))
        })
    }

    fn icon(&self) -> Icon {
        if !self.ready {
            return Icon::NoService;
        }
        let count = |standing| self.wanted().filter(|profile| profile.standing() == standing).count();
        let wanted = self.wanted().count();
        match count(Standing::Registered) {
            _ if count(Standing::Failed) > 0 => Icon::Error,
            _ if wanted == 0 => Icon::Off,
            0 => Icon::Connecting,
            registered if registered == wanted => Icon::Registered,
            _ => Icon::Partly,
        }
    }

    fn summary(&self, icon: Icon) -> String {
        match icon {
            Icon::NoService => return text::no_service(),
            Icon::Off if self.profiles.is_empty() => return text::no_accounts(),
            Icon::Off => return text::all_off(),
            _ => {}
        }
        let of = |standing| self.wanted().filter(move |profile| profile.standing() == standing);
        let failed: Vec<&Profile> = of(Standing::Failed).collect();
        let degraded: Vec<&Profile> = self.wanted().filter(|profile| profile.is_degraded()).collect();
        let trouble = match (failed.as_slice(), degraded.as_slice()) {
            ([], []) => String::new(),
            ([], [one]) => text::not_refreshed(one.title()),
            ([], several) => text::several_not_refreshed(several.len()),
            ([one], _) => text::failed(one.title()),
            (several, _) => text::several_failed(several.len()),
        };
        text::count(of(Standing::Registered).count(), self.wanted().count(), &trouble)
    }

    fn rows(&self) -> Vec<Row> {
        let mut same: HashMap<&str, usize> = HashMap::new();
        for profile in self.profiles.values() {
            *same.entry(profile.title()).or_default() += 1;
        }
        let row = |profile: &Profile| {
            let held = self.wishes.contains(&profile.id);
            let kept = profile.auto_register && profile.state != "unregistered";
            let name = match same.get(profile.title()) {
                Some(2..) if profile.is_named() => plain::name_and_address(profile.title(), &profile.aor),
                _ => profile.title().to_owned(),
            };
            // Without the service nobody knows the state, and an old one would be a lie.
            let words = if self.ready { text::state(profile, held) } else { String::new() };
            Row { id: profile.id, label: text::row(&name, &words), name, checked: held || kept }
        };
        self.profiles.values().map(row).collect()
    }
}
