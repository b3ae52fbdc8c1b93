//! The line at the top that says how things stand.

use gtk::prelude::*;

use crate::outcome::Mood;

/// Icon and sentence; nothing while there is nothing to say.
pub struct Banner {
    /// To be put into the window.
    pub widget: gtk::Revealer,
    body: gtk::Box,
    icon: gtk::Image,
    spinner: gtk::Spinner,
    label: gtk::Label,
}

impl Banner {
    /// An empty one.
    pub fn new() -> Self {
        let icon = gtk::Image::builder().accessible_role(gtk::AccessibleRole::Presentation).build();
        let spinner = gtk::Spinner::new();
        let label = gtk::Label::builder()
            .wrap(true)
            .xalign(0.0)
            .hexpand(true)
            .selectable(true)
            .can_focus(false)
            .accessible_role(gtk::AccessibleRole::Status)
            .build();
        let body = gtk::Box::builder().spacing(12).css_classes(["banner"]).build();
        body.append(&icon);
        body.append(&spinner);
        body.append(&label);
        let widget =
            gtk::Revealer::builder().child(&body).transition_type(gtk::RevealerTransitionType::None).build();
        Self { widget, body, icon, spinner, label }
    }

    /// Says `sentence`.
    pub fn say(&self, mood: Mood, sentence: &str) {
        let (class, icon) = match mood {
            Mood::Busy => ("busy", None),
            Mood::Good => ("good", Some("emblem-ok-symbolic")),
            Mood::Waiting => ("waiting", Some("dialog-information-symbolic")),
            Mood::Bad => ("bad", Some("dialog-error-symbolic")),
        };
        self.body.set_css_classes(&["banner", class]);
        self.icon.set_icon_name(icon);
        self.icon.set_visible(icon.is_some());
        self.spinner.set_visible(icon.is_none());
        self.spinner.set_spinning(icon.is_none());
        if self.label.text() != sentence {
            self.label.set_text(sentence);
        }
        self.widget.set_reveal_child(true);
    }

    /// Says nothing more.
    pub fn hide(&self) {
        self.spinner.set_spinning(false);
        self.widget.set_reveal_child(false);
    }
}
