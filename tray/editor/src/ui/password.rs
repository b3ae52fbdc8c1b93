//! The password window.

use std::cell::Cell;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::{io, thread};

use adw::prelude::*;
use gtk::glib;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use tokio::signal::unix::{SignalKind, signal};

use crate::question::{Question, answer};
use crate::text;

/// The person said no, or nobody wants to know any more.
const CANCELLED: u8 = 1;
/// There was no window: nobody has said anything.
const FAILED: u8 = 2;

/// Of a sentence: the server chooses the realm, and the field below must stay on the screen.
const LINES: i32 = 4;

/// Asks, and answers on standard output.
pub fn run() -> ExitCode {
    if let Err(error) = end_on_sigterm().and_then(|()| end_without_reader()) {
        return failed(&error);
    }
    let click = super::click();
    let question = match Question::read(io::stdin()) {
        Ok(question) => question,
        Err(error) => return failed(&error),
    };
    if let Err(error) = super::start() {
        return failed(&error);
    }
    let main_loop = glib::MainLoop::new(None, false);
    let code = Rc::new(Cell::new(CANCELLED));
    let window = window(&question, code.clone());
    let ends = main_loop.clone();
    window.connect_close_request(move |_| {
        ends.quit();
        glib::Propagation::Proceed
    });
    match click {
        Some(token) => window.set_startup_id(&token),
        None if question.clicked => {}
        None => stay_behind(&window),
    }
    window.present();
    main_loop.run();
    ExitCode::from(code.get())
}

/// The applet ends us when nobody wants the answer any more. A thread of its own does it, so that it works at any
/// time, while the question is being read too.
fn end_on_sigterm() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    drop(entered);
    thread::Builder::new().name(String::from("signals")).spawn(move || {
        runtime.block_on(terminate.recv());
        std::process::exit(CANCELLED.into());
    })?;
    Ok(())
}

/// An applet that was killed reads no answer: its successor asks anew, with a window of its own.
fn end_without_reader() -> io::Result<()> {
    thread::Builder::new().name(String::from("reader")).spawn(|| {
        let output = io::stdout();
        // Nothing is waited for but the end of the other side, which is always told.
        while rustix::event::poll(&mut [PollFd::new(&output, PollFlags::empty())], None) == Err(Errno::INTR) {
        }
        std::process::exit(CANCELLED.into());
    })?;
    Ok(())
}

/// Nobody has clicked for this window: it must not take the keyboard from what somebody is typing into. Wayland's
/// compositors do that themselves; X11's window managers read it from the window.
fn stay_behind(window: &adw::Window) {
    window.connect_realize(|window| {
        if let Some(surface) = window.surface().and_downcast::<gdk4_x11::X11Surface>() {
            surface.set_user_time(0);
        }
    });
}

fn window(question: &Question, code: Rc<Cell<u8>>) -> adw::Window {
    let window = adw::Window::builder()
        .title(text::password_title(question.account()))
        .default_width(420)
        .resizable(false)
        .build();
    let cancel = super::button(text::CANCEL);
    let ok = super::button(text::OK);
    ok.add_css_class("suggested-action");
    ok.set_sensitive(false);
    let header =
        adw::HeaderBar::builder().show_end_title_buttons(false).show_start_title_buttons(false).build();
    header.pack_start(&cancel);
    header.pack_end(&ok);

    // libadwaita's own row for passwords tells a screen reader neither what it is nor that it has the keyboard.
    let password =
        gtk::PasswordEntry::builder().show_peek_icon(true).activates_default(true).hexpand(true).build();
    password.set_valign(gtk::Align::Center);
    let typed = adw::ActionRow::builder().use_underline(true).use_markup(false).build();
    typed.set_title(text::PASSWORD);
    typed.add_suffix(&password);
    typed.set_activatable_widget(Some(&password));
    let store = gtk::CheckButton::builder().valign(gtk::Align::Center).build();
    let keep = adw::ActionRow::builder().use_underline(true).use_markup(false).build();
    keep.set_title(text::STORE);
    keep.add_prefix(&store);
    keep.set_activatable_widget(Some(&store));
    let group = adw::PreferencesGroup::new();
    group.add(&typed);
    if question.kept {
        // Ticked and not shown: a box that changes nothing would be a false promise.
        store.set_active(true);
    } else {
        group.add(&keep);
    }

    let body = gtk::Box::builder()
        .orientation(gtk::Orientation::Vertical)
        .spacing(12)
        .margin_top(18)
        .margin_bottom(24)
        .margin_start(18)
        .margin_end(18)
        .build();
    for label in sentences(question) {
        body.append(&label);
    }
    body.append(&group);
    let content = gtk::Box::new(gtk::Orientation::Vertical, 0);
    content.append(&header);
    content.append(&body);
    window.set_content(Some(&content));
    window.set_default_widget(Some(&ok));

    let closing = window.clone();
    cancel.connect_clicked(move |_| closing.close());
    let closing = window.clone();
    super::on_keys(&window, "Escape", gtk::PropagationPhase::Bubble, move || closing.close());
    // An empty password is hardly ever meant, and Enter is quickly pressed.
    let answers = ok.clone();
    password.connect_changed(move |entry| answers.set_sensitive(!entry.text().is_empty()));
    let (closing, given) = (window.clone(), password.clone());
    ok.connect_clicked(move |_| {
        let text = answer(&given.text(), store.is_active());
        let mut output = io::stdout().lock();
        if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_ok() {
            code.set(0);
        }
        closing.close();
    });
    gtk::prelude::GtkWindowExt::set_focus(&window, Some(&password));
    window
}

fn sentences(question: &Question) -> Vec<gtk::Label> {
    let line = |text: &str, classes: &[&str]| {
        gtk::Label::builder()
            .label(text)
            .wrap(true)
            .wrap_mode(gtk::pango::WrapMode::WordChar)
            .max_width_chars(44)
            .lines(LINES)
            .ellipsize(gtk::pango::EllipsizeMode::End)
            .xalign(0.0)
            .css_classes(classes.to_vec())
            .accessible_role(if classes.contains(&"error") {
                gtk::AccessibleRole::Alert
            } else {
                gtk::AccessibleRole::Label
            })
            .build()
    };
    let mut lines = vec![line(question.account(), &["title-4"])];
    if question.account() != question.address() && !question.address().is_empty() {
        lines.push(line(question.address(), &["dim-label"]));
    }
    lines.push(line(&text::asks_for_password(&question.server, &question.realm, &question.transport), &[]));
    if question.kept {
        lines.push(line(text::KEPT_ANYWAY, &["dim-label"]));
    }
    if question.refused {
        lines.push(line(text::REFUSED, &["error"]));
    }
    lines
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("sip-profiles-editor: {error}");
    ExitCode::from(FAILED)
}
