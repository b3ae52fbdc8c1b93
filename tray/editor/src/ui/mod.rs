//! The windows. What they decide is decided elsewhere; here are widgets.

mod banner;
pub mod editor;
pub mod password;
mod pem;
mod rows;

use std::env;

use gtk::prelude::*;
use gtk::{gdk, glib};

/// The name that desktops know the windows by.
const APP_ID: &str = "org.sipprofiles.Editor";
const STYLE: &str = include_str!("style.css");

/// The click that we were started for, as the desktop names it. GTK takes it out of the environment when it starts.
fn click() -> Option<String> {
    let read = |name| env::var(name).ok().filter(|token| !token.is_empty());
    read("XDG_ACTIVATION_TOKEN").or_else(|| read("DESKTOP_STARTUP_ID"))
}

/// Starts the toolkit.
fn start() -> Result<(), glib::BoolError> {
    glib::set_prgname(Some(APP_ID));
    glib::set_application_name(crate::text::SOME_ACCOUNT);
    adw::init()?;
    if let Some(display) = gdk::Display::default() {
        let style = gtk::CssProvider::new();
        // gtk_css_provider_load_from_string came after the GTK that we ask for.
        #[allow(deprecated)]
        style.load_from_data(STYLE);
        gtk::style_context_add_provider_for_display(
            &display,
            &style,
            gtk::STYLE_PROVIDER_PRIORITY_APPLICATION,
        );
    }
    Ok(())
}

/// `keys`, as GTK writes them, do `action`, before or after the widget that has the keyboard has its turn.
fn on_keys(window: &adw::Window, keys: &str, phase: gtk::PropagationPhase, action: impl Fn() + 'static) {
    let shortcuts = gtk::ShortcutController::new();
    shortcuts.set_propagation_phase(phase);
    let action = gtk::CallbackAction::new(move |_, _| {
        action();
        glib::Propagation::Stop
    });
    shortcuts.add_shortcut(gtk::Shortcut::new(gtk::ShortcutTrigger::parse_string(keys), Some(action)));
    window.add_controller(shortcuts);
}

/// A button whose label has a keyboard mark.
fn button(label: &str) -> gtk::Button {
    let button = gtk::Button::new();
    set_label(&button, label);
    button
}

/// GTK's own way gives the keyboard mark to screen readers, too.
fn set_label(button: &gtk::Button, label: &str) {
    let label = gtk::Label::with_mnemonic(label);
    label.set_mnemonic_widget(Some(button));
    button.set_child(Some(&label));
}

/// A widget with a name for those who cannot see where it stands. The bindings offer that from GTK 4.10 on, GTK's own
/// descriptions of windows have it.
fn named<T: IsA<glib::Object>>(name: &str) -> T {
    let class = T::static_type().name();
    let name = glib::markup_escape_text(name);
    let description = format!(
        "<interface><object class='{class}' id='it'><accessibility><property name='label'>{name}</property>\
         </accessibility></object></interface>"
    );
    let builder = gtk::Builder::from_string(&description);
    builder.object("it").expect("the description above holds one object of that class")
}
