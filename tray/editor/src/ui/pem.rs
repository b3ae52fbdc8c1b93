//! A PEM text: loaded from a file, or pasted.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::Read;
use std::rc::Rc;

use adw::prelude::*;
use gtk::{gio, glib};

use crate::form::{Entry, Field, Kind, Secret};
use crate::text;

/// More than any PEM text that the service takes.
const LIMIT: u64 = 256 * 1024;

/// What was loaded or pasted, and the buttons for it.
pub struct Pem {
    /// The buttons.
    pub buttons: gtk::Box,
    entry: RefCell<Entry>,
    is_secret: bool,
    is_kept: Cell<bool>,
    row: glib::WeakRef<adw::ActionRow>,
    clear: gtk::Button,
    changed: Box<dyn Fn()>,
}

impl Pem {
    /// Buttons for `row`; `changed` is called when somebody used them.
    pub fn new(field: Field, row: &adw::ActionRow, changed: impl Fn() + 'static) -> Rc<Self> {
        let buttons = gtk::Box::builder().spacing(6).valign(gtk::Align::Center).build();
        let button = |label: &str| {
            let button: gtk::Button = super::named(&format!("{}: {label}", text::plain(text::title(field))));
            button.set_child(Some(&gtk::Label::new(Some(label))));
            buttons.append(&button);
            button
        };
        let (load, paste, clear) = (button(text::LOAD_FILE), button(text::PASTE), button(text::CLEAR));
        let is_secret = field.kind() == Kind::SecretPem;
        let empty = if is_secret { Entry::Kept } else { Entry::Text(String::new()) };
        let pem = Rc::new(Self {
            entry: RefCell::new(empty),
            is_secret,
            is_kept: Cell::new(false),
            row: row.downgrade(),
            clear: clear.clone(),
            changed: Box::new(changed),
            buttons,
        });
        let weak = Rc::downgrade(&pem);
        load.connect_clicked(move |_| {
            if let Some(pem) = weak.upgrade() {
                pem.choose_file();
            }
        });
        let weak = Rc::downgrade(&pem);
        paste.connect_clicked(move |button| {
            let (weak, clipboard) = (weak.clone(), button.clipboard());
            glib::spawn_future_local(async move {
                let pasted = clipboard.read_text_future().await;
                if let Some(pem) = weak.upgrade() {
                    pem.take(pasted.ok().flatten().map(String::from).unwrap_or_default());
                }
            });
        });
        let weak = Rc::downgrade(&pem);
        clear.connect_clicked(move |_| {
            if let Some(pem) = weak.upgrade() {
                let empty = if pem.is_secret { Entry::Cleared } else { Entry::Text(String::new()) };
                pem.put(empty);
                (pem.changed)();
            }
        });
        pem
    }

    /// What was given.
    pub fn entry(&self) -> Entry {
        self.entry.borrow().clone()
    }

    /// Shows `entry`.
    pub fn put(&self, entry: Entry) {
        *self.entry.borrow_mut() = entry;
        self.refresh();
    }

    /// Says whether the service keeps a secret here.
    pub fn set_kept(&self, is_kept: bool) {
        self.is_kept.set(is_kept);
        self.refresh();
    }

    /// What stands under the title; `None`: the placeholder.
    pub fn summary(&self) -> Option<&'static str> {
        match &*self.entry.borrow() {
            Entry::Text(text) if text.is_empty() => None,
            Entry::Kept => None,
            Entry::Cleared => Some(text::NONE),
            _ => Some(text::PEM_GIVEN),
        }
    }

    fn refresh(&self) {
        let is_kept = self.is_kept.get() && *self.entry.borrow() == Entry::Kept;
        self.clear.set_visible(is_kept || self.summary() == Some(text::PEM_GIVEN));
    }

    fn take(&self, text: String) {
        if !text.trim_start().starts_with("-----BEGIN") {
            return self.fail(text::NO_PEM);
        }
        let entry = if self.is_secret { Entry::New(Secret::new(text)) } else { Entry::Text(text) };
        self.put(entry);
        (self.changed)();
    }

    fn fail(&self, message: &str) {
        if let Some(row) = self.row.upgrade() {
            row.add_css_class("problem");
            row.set_subtitle(message);
        }
    }

    fn choose_file(self: &Rc<Self>) {
        let Some(row) = self.row.upgrade() else { return };
        let parent = row.root().and_downcast::<gtk::Window>();
        // The dialog that replaces it came after the GTK that we ask for.
        #[allow(deprecated)]
        {
            let title = text::plain(&row.title());
            let chooser = gtk::FileChooserNative::new(
                Some(&title),
                parent.as_ref(),
                gtk::FileChooserAction::Open,
                None,
                None,
            );
            chooser.set_modal(true);
            for (name, patterns) in
                [(text::PEM_FILES, &["*.pem", "*.crt", "*.cer", "*.key"][..]), (text::ALL_FILES, &["*"])]
            {
                let filter = gtk::FileFilter::new();
                filter.set_name(Some(name));
                patterns.iter().for_each(|pattern| filter.add_pattern(pattern));
                chooser.add_filter(&filter);
            }
            let weak = Rc::downgrade(self);
            glib::spawn_future_local(async move {
                let response = chooser.run_future().await;
                let file = chooser.file().filter(|_| response == gtk::ResponseType::Accept);
                if let (Some(pem), Some(file)) = (weak.upgrade(), file) {
                    pem.load(&file);
                }
            });
        }
    }

    fn load(&self, file: &gio::File) {
        match read(file) {
            Ok(text) => self.take(text),
            Err(message) => self.fail(&message),
        }
    }
}

fn read(file: &gio::File) -> Result<String, String> {
    let unreadable = |error: std::io::Error| text::file_unreadable(&error.to_string());
    let path = file.path().ok_or_else(|| text::file_unreadable("it is on no disk"))?;
    let mut content = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut content))
        .map_err(unreadable)?;
    if content.len() as u64 > LIMIT {
        return Err(String::from(text::FILE_TOO_LARGE));
    }
    String::from_utf8(content).map_err(|_| String::from(text::NO_PEM))
}
