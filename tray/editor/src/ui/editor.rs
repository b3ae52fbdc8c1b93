//! The editor window.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adw::prelude::*;
use async_channel::{Receiver, Sender};
use gtk::glib;
use sip_profiles::advice::Situation;

use super::banner::Banner;
use super::rows::Row;
use crate::form::{Entries, Field, Settings, blamed, change, is_locked, placeholder, shown, title_name};
use crate::outcome::{Mood, progress};
use crate::service::{self, Event, Refusal, Request};
use crate::text;

/// Shows the editor, for a new account where there is no id.
pub fn run(session: bool, id: Option<u32>) -> ExitCode {
    let failed = |error: &dyn std::fmt::Display| {
        eprintln!("sip-profiles-editor: {error}");
        ExitCode::FAILURE
    };
    let click = super::click();
    if let Err(error) = super::start() {
        return failed(&error);
    }
    let (requests, events) = match service::start(session) {
        Ok(link) => link,
        Err(error) => return failed(&error),
    };
    let main_loop = glib::MainLoop::new(None, false);
    let editor = Editor::new(id, requests);
    if let Some(token) = click {
        editor.window.set_startup_id(&token);
    }
    let ends = main_loop.clone();
    editor.window.connect_close_request(move |_| {
        ends.quit();
        glib::Propagation::Proceed
    });
    listen(&editor, events);
    count_down(&editor);
    editor.begin();
    main_loop.run();
    ExitCode::SUCCESS
}

struct Editor {
    window: adw::Window,
    banner: Banner,
    rows: Vec<Row>,
    advanced: adw::ExpanderRow,
    save: gtk::Button,
    close: gtk::Button,
    requests: Sender<Request>,
    id: Cell<Option<u32>>,
    stored: RefCell<Settings>,
    /// The registration, and when it is tried again.
    standing: RefCell<Option<(Situation, i64)>>,
    /// Nobody has touched a field since Save: the outcome may move the keyboard.
    untouched: Cell<bool>,
}

impl Editor {
    fn new(id: Option<u32>, requests: Sender<Request>) -> Rc<Self> {
        let editor = Rc::new_cyclic(|weak: &std::rc::Weak<Editor>| {
            let changed = {
                let weak = weak.clone();
                move |field| {
                    if let Some(editor) = weak.upgrade() {
                        editor.changed(field);
                    }
                }
            };
            Editor {
                window: adw::Window::builder()
                    .title(if id.is_some() { text::EDIT_TITLE } else { text::ADD_TITLE })
                    .default_width(640)
                    .default_height(600)
                    .build(),
                banner: Banner::new(),
                rows: Field::ALL.map(|field| Row::new(field, changed.clone())).into(),
                advanced: adw::ExpanderRow::builder().use_underline(true).use_markup(false).build(),
                save: super::button(text::SAVE),
                close: super::button(text::CANCEL),
                requests,
                id: Cell::new(id),
                stored: RefCell::default(),
                standing: RefCell::default(),
                untouched: Cell::new(false),
            }
        });
        editor.lay_out();
        editor.connect();
        editor
    }

    fn lay_out(&self) {
        let header =
            adw::HeaderBar::builder().show_end_title_buttons(false).show_start_title_buttons(false).build();
        self.save.add_css_class("suggested-action");
        header.pack_start(&self.close);
        header.pack_end(&self.save);
        let page = adw::PreferencesPage::new();
        let main = adw::PreferencesGroup::new();
        let more = adw::PreferencesGroup::new();
        self.advanced.set_title(text::ADVANCED);
        self.advanced.set_subtitle(text::ADVANCED_HINT);
        let (first, others) = self.rows.split_at(Field::MAIN);
        first.iter().for_each(|row| main.add(&row.widget));
        others.iter().for_each(|row| self.advanced.add_row(&row.widget));
        more.add(&self.advanced);
        page.add(&main);
        page.add(&more);
        page.set_vexpand(true);
        let content = gtk::Box::new(gtk::Orientation::Vertical, 0);
        content.append(&header);
        content.append(&self.banner.widget);
        content.append(&page);
        self.window.set_content(Some(&content));
        self.window.set_default_widget(Some(&self.save));
    }

    fn connect(self: &Rc<Self>) {
        let window = self.window.clone();
        self.close.connect_clicked(move |_| window.close());
        let window = self.window.clone();
        super::on_keys(&self.window, "Escape", gtk::PropagationPhase::Bubble, move || window.close());
        let weak = Rc::downgrade(self);
        let save = move || {
            if let Some(editor) = weak.upgrade().filter(|editor| editor.save.is_sensitive()) {
                editor.save();
            }
        };
        let by_key = save.clone();
        self.save.connect_clicked(move |_| save());
        // Enter is a new line in the fields of several lines.
        super::on_keys(&self.window, "<Control>s|<Control>Return", gtk::PropagationPhase::Capture, by_key);
    }

    fn begin(&self) {
        self.refresh_placeholders();
        if let Some(id) = self.id.get() {
            self.set_editable(false);
            self.banner.say(Mood::Busy, text::LOADING);
            self.ask(Request::Load(id));
        }
        self.rows[0].focus();
        self.window.present();
    }

    fn row(&self, field: Field) -> Option<&Row> {
        self.rows.iter().find(|row| row.field == field)
    }

    fn entries(&self) -> Entries {
        self.rows.iter().map(|row| (row.field, row.entry())).collect()
    }

    fn refresh_placeholders(&self) {
        let (entries, stored) = (self.entries(), self.stored.borrow());
        for row in &self.rows {
            row.set_placeholder(&placeholder(row.field, &entries, &stored));
        }
    }

    fn set_editable(&self, is_editable: bool) {
        self.save.set_sensitive(is_editable);
        for row in &self.rows {
            row.widget.set_sensitive(is_editable);
        }
    }

    fn changed(&self, field: Field) {
        self.untouched.set(false);
        if let Some(row) = self.row(field) {
            row.set_problem(None);
        }
        if field == Field::Aor || matches!(field, Field::TlsCa | Field::TlsCertificate | Field::TlsKey) {
            self.refresh_placeholders();
        }
    }

    fn save(&self) {
        for row in &self.rows {
            row.set_problem(None);
        }
        let outcome = change(&self.stored.borrow(), &self.entries());
        match outcome {
            Ok(change) => {
                self.save.set_sensitive(false);
                self.standing.replace(None);
                self.untouched.set(true);
                self.banner.say(Mood::Busy, text::SAVING);
                self.ask(Request::Save { id: self.id.get(), change });
            }
            Err(mistake) => self.point_at(mistake.field, &mistake.message),
        }
    }

    fn ask(&self, request: Request) {
        // The channel has no bound, and its other end lives as long as the program.
        let _ = self.requests.try_send(request);
    }

    fn point_at(&self, field: Field, problem: &str) {
        self.banner.hide();
        if let Some(row) = self.row(field) {
            row.set_problem(Some(problem));
        }
        self.go_to(field);
    }

    fn go_to(&self, field: Field) {
        let is_advanced = Field::ALL.iter().position(|other| *other == field) >= Some(Field::MAIN);
        if is_advanced {
            self.advanced.set_expanded(true);
        }
        if let Some(row) = self.row(field) {
            row.focus();
        }
    }

    fn take(&self, event: Event) {
        match event {
            Event::Settings { id, settings, saved } => self.take_settings(id, settings, saved),
            Event::Refused(refusal) => self.take_refusal(&refusal),
            Event::News { situation, retry_at } => {
                self.standing.replace(Some((situation, retry_at)));
                self.say_standing();
                self.move_keyboard();
            }
            Event::Gone => {
                self.standing.replace(None);
                self.banner.say(Mood::Waiting, text::SERVICE_GONE);
            }
        }
    }

    fn take_settings(&self, id: u32, settings: Settings, saved: bool) {
        self.id.set(Some(id));
        if let Some(name) = title_name(&settings) {
            self.window.set_title(Some(&text::edit_title(&name)));
        }
        let locked = is_locked(&settings);
        self.stored.replace(settings);
        if saved {
            // What was typed stays, so that it can be corrected.
            super::set_label(&self.close, text::CLOSE);
            self.save.set_sensitive(true);
        } else {
            for row in &self.rows {
                let entry = shown(&self.stored.borrow(), row.field);
                row.show(entry);
            }
            self.set_editable(!locked);
            if locked {
                self.banner.say(Mood::Waiting, text::LOCKED);
                super::set_label(&self.close, text::CLOSE);
                self.close.grab_focus();
            } else {
                self.banner.hide();
                self.rows[0].focus();
            }
        }
        self.refresh_placeholders();
    }

    fn take_refusal(&self, refusal: &Refusal) {
        let is_loaded = self.id.get().is_none() || !self.stored.borrow().is_empty();
        self.save.set_sensitive(is_loaded);
        match blamed(&refusal.message).filter(|_| refusal.is_about_setting()) {
            Some(mistake) => self.point_at(mistake.field, &mistake.message),
            None => self.banner.say(Mood::Bad, &text::sentence(&refusal.message)),
        }
    }

    fn say_standing(&self) {
        if let Some((situation, retry_at)) = &*self.standing.borrow() {
            let mut situation = situation.clone();
            situation.retry_in = (*retry_at != 0).then(|| retry_at - now());
            let progress = progress(&situation);
            self.banner.say(progress.mood, &progress.sentence);
        }
    }

    /// Once after Save, to where something is left to do.
    fn move_keyboard(&self) {
        let standing = self.standing.borrow().clone();
        let Some((situation, _)) = standing.filter(|_| self.untouched.get()) else { return };
        let progress = progress(&situation);
        match (progress.mood, progress.field) {
            (Mood::Busy, _) => return,
            (Mood::Good, _) => drop(self.close.grab_focus()),
            (_, Some(field)) => self.go_to(field),
            _ => {}
        }
        self.untouched.set(false);
    }
}

fn listen(editor: &Rc<Editor>, events: Receiver<Event>) {
    let weak = Rc::downgrade(editor);
    glib::spawn_future_local(async move {
        while let Ok(event) = events.recv().await {
            let Some(editor) = weak.upgrade() else { return };
            editor.take(event);
        }
    });
}

/// "in 40 s" grows old.
fn count_down(editor: &Rc<Editor>) {
    let weak = Rc::downgrade(editor);
    glib::timeout_add_local(Duration::from_secs(1), move || {
        let Some(editor) = weak.upgrade() else { return glib::ControlFlow::Break };
        editor.say_standing();
        glib::ControlFlow::Continue
    });
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
