//! One row for each field: label, widget, and what is wrong with it.

use std::cell::RefCell;
use std::rc::Rc;

use adw::prelude::*;

use super::pem::Pem;
use crate::form::{Entry, Field, Kind, Secret};
use crate::text;

/// Letters that the entries have room for, so that they stand in one column.
const WIDTH: i32 = 32;
/// Pixels that they keep in a window that is too narrow for that, so that the labels stay words.
const LEAST: i32 = 140;

/// A field in the window.
pub struct Row {
    /// Which field.
    pub field: Field,
    /// The row.
    pub widget: adw::PreferencesRow,
    input: Input,
    /// Says what is wrong where the row has no subtitle.
    note: Option<gtk::Label>,
    hint: RefCell<String>,
}

enum Input {
    Line(gtk::Entry),
    Password(gtk::PasswordEntry),
    Flag(gtk::Switch),
    Choice(gtk::DropDown, RefCell<Vec<String>>),
    Lines(gtk::TextView),
    Pem(Rc<Pem>),
}

impl Row {
    /// An empty row; `changed` is called whenever somebody changes it.
    pub fn new(field: Field, changed: impl Fn(Field) + Clone + 'static) -> Self {
        let changed = move || changed(field);
        if field.kind() == Kind::Lines {
            return Self::of_lines(field, changed);
        }
        let row = adw::ActionRow::builder().use_markup(false).use_underline(true).build();
        row.set_title(text::title(field));
        let input = match field.kind() {
            Kind::Flag => {
                let switch = gtk::Switch::new();
                switch.connect_active_notify(move |_| changed());
                Input::Flag(switch)
            }
            Kind::Choice(words) => {
                let list = gtk::DropDown::builder().build();
                let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
                list.set_model(Some(&names(field, &words)));
                list.connect_selected_notify(move |_| changed());
                Input::Choice(list, RefCell::new(words))
            }
            Kind::Password => {
                let entry = gtk::PasswordEntry::builder()
                    .show_peek_icon(true)
                    .activates_default(true)
                    .max_width_chars(WIDTH)
                    .width_request(LEAST)
                    .build();
                entry.connect_changed(move |_| changed());
                Input::Password(entry)
            }
            Kind::Pem | Kind::SecretPem => Input::Pem(Pem::new(field, &row, changed)),
            _ => {
                let entry = gtk::Entry::builder()
                    .activates_default(true)
                    .max_width_chars(WIDTH)
                    .width_request(LEAST)
                    .build();
                if matches!(field.kind(), Kind::Number | Kind::Interval) {
                    entry.set_input_purpose(gtk::InputPurpose::Digits);
                }
                if field == Field::Aor {
                    entry.set_input_purpose(gtk::InputPurpose::Email);
                }
                entry.connect_changed(move |_| changed());
                Input::Line(entry)
            }
        };
        let widget = input.widget();
        widget.set_valign(gtk::Align::Center);
        if !matches!(input, Input::Pem(_)) {
            // This also names it for screen readers.
            row.set_activatable_widget(Some(&widget));
        }
        row.add_suffix(&widget);
        Self { field, widget: row.upcast(), input, note: None, hint: RefCell::default() }
    }

    fn of_lines(field: Field, changed: impl Fn() + 'static) -> Self {
        // Tab goes on to the next field: a header has none in it.
        let view = gtk::TextView::builder()
            .accepts_tab(false)
            .monospace(true)
            .wrap_mode(gtk::WrapMode::Char)
            .height_request(48)
            .hexpand(true)
            .build();
        view.buffer().connect_changed(move |_| changed());
        let frame = gtk::Box::builder().css_classes(["lines"]).build();
        frame.append(&view);
        let label = gtk::Label::builder().xalign(0.0).use_underline(true).label(text::title(field)).build();
        label.set_mnemonic_widget(Some(&view));
        let note =
            gtk::Label::builder().xalign(0.0).wrap(true).visible(false).css_classes(["subtitle"]).build();
        let body = gtk::Box::builder()
            .orientation(gtk::Orientation::Vertical)
            .spacing(6)
            .margin_top(10)
            .margin_bottom(10)
            .margin_start(12)
            .margin_end(12)
            .build();
        body.append(&label);
        body.append(&frame);
        body.append(&note);
        let row = adw::PreferencesRow::builder().child(&body).activatable(false).focusable(false).build();
        Self { field, widget: row, input: Input::Lines(view), note: Some(note), hint: RefCell::default() }
    }

    /// What stands in it.
    pub fn entry(&self) -> Entry {
        match &self.input {
            Input::Line(entry) => Entry::Text(entry.text().into()),
            Input::Password(entry) if entry.text().is_empty() => Entry::Kept,
            Input::Password(entry) => Entry::New(Secret::new(entry.text())),
            Input::Flag(switch) => Entry::Flag(switch.is_active()),
            Input::Choice(list, words) => {
                let at = usize::try_from(list.selected()).unwrap_or(usize::MAX);
                Entry::Text(words.borrow().get(at).cloned().unwrap_or_default())
            }
            Input::Lines(view) => {
                let buffer = view.buffer();
                let (start, end) = buffer.bounds();
                Entry::Text(buffer.text(&start, &end, true).into())
            }
            Input::Pem(pem) => pem.entry(),
        }
    }

    /// Shows `entry`.
    pub fn show(&self, entry: Entry) {
        match (&self.input, entry) {
            (Input::Line(line), Entry::Text(text)) => line.set_text(&text),
            (Input::Flag(switch), Entry::Flag(flag)) => switch.set_active(flag),
            (Input::Choice(list, words), Entry::Text(word)) => {
                let known = words.borrow().iter().position(|known| *known == word);
                let at = known.unwrap_or_else(|| {
                    // A newer service has choices that we do not know.
                    words.borrow_mut().push(word);
                    list.set_model(Some(&names(self.field, &words.borrow())));
                    words.borrow().len() - 1
                });
                list.set_selected(u32::try_from(at).unwrap_or(gtk::INVALID_LIST_POSITION));
            }
            (Input::Lines(view), Entry::Text(text)) => view.buffer().set_text(&text),
            (Input::Pem(pem), entry) => pem.put(entry),
            _ => {}
        }
    }

    /// What stands there greyed while nothing else does.
    pub fn set_placeholder(&self, placeholder: &str) {
        match &self.input {
            Input::Line(entry) => entry.set_placeholder_text(Some(placeholder)),
            Input::Password(entry) => entry.set_placeholder_text(Some(placeholder)),
            Input::Pem(pem) => {
                pem.set_kept(placeholder == text::KEPT);
                let hint = pem.summary().unwrap_or(placeholder);
                *self.hint.borrow_mut() = hint.to_owned();
                if !self.widget.has_css_class("problem") {
                    self.set_note(hint);
                }
            }
            _ => {}
        }
    }

    /// Says what is wrong, or that nothing is any more.
    pub fn set_problem(&self, problem: Option<&str>) {
        let widget = self.input.widget();
        match problem {
            Some(problem) => {
                self.widget.add_css_class("problem");
                widget.add_css_class("error");
                // Screen readers read it as the description.
                widget.set_tooltip_text(Some(problem));
                self.set_note(problem);
            }
            None if self.widget.has_css_class("problem") => {
                self.widget.remove_css_class("problem");
                widget.remove_css_class("error");
                widget.set_tooltip_text(None);
                self.set_note(&self.hint.borrow());
            }
            None => {}
        }
    }

    /// Puts the keyboard there.
    pub fn focus(&self) {
        match &self.input {
            Input::Pem(pem) => pem.buttons.child_focus(gtk::DirectionType::TabForward),
            other => other.widget().grab_focus(),
        };
    }

    fn set_note(&self, text: &str) {
        if let Some(note) = &self.note {
            note.set_text(text);
            note.set_visible(!text.is_empty());
        } else if let Some(row) = self.widget.downcast_ref::<adw::ActionRow>() {
            row.set_subtitle(text);
        }
    }
}

impl Input {
    fn widget(&self) -> gtk::Widget {
        match self {
            Input::Line(entry) => entry.clone().upcast(),
            Input::Password(entry) => entry.clone().upcast(),
            Input::Flag(switch) => switch.clone().upcast(),
            Input::Choice(list, _) => list.clone().upcast(),
            Input::Lines(view) => view.clone().upcast(),
            Input::Pem(pem) => pem.buttons.clone().upcast(),
        }
    }
}

fn names(field: Field, words: &[String]) -> gtk::StringList {
    let names: Vec<_> = words.iter().map(|word| text::choice(field, word)).collect();
    gtk::StringList::new(&names.iter().map(String::as_str).collect::<Vec<_>>())
}
