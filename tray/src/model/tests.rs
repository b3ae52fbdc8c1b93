//! Transcripts: events in, effects and views out. The clock is a number.

use super::*;

pub(super) const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(super) fn patch(state: &str, reason: &str) -> Patch {
    Patch { state: Some(state.into()), reason: Some(reason.into()), ..Patch::default() }
}

fn failed(error: &str) -> Patch {
    Patch { error: Some((error.into(), "It did not work.".into())), ..patch("unregistered", "error") }
}

pub(super) fn profile(id: u32, name: &str, state: &str) -> Profile {
    let aor = format!("sip:{id}@example.org");
    Profile { id, name: name.into(), aor, state: state.into(), ..Profile::default() }
}

/// A service that has these, all wished.
fn model(profiles: Vec<Profile>) -> Model {
    let wishes = profiles.iter().map(|profile| profile.id).collect();
    let mut model = Model::new(wishes, PATIENCE);
    let effects = model.handle(Event::Up, seconds(0));
    assert!(matches!(effects[..], [Effect::Greet(1, _)]), "{effects:?}");
    model.handle(Event::Read(1, Ok((profiles, Some(1)))), seconds(0));
    model
}

fn change(model: &mut Model, id: u32, patch: Patch, now: u64) -> Vec<Effect> {
    model.handle(Event::News(News::Changed(id, patch)), seconds(now))
}

fn told(effects: &[Effect]) -> Vec<(Subject, bool)> {
    let note = |effect: &Effect| match effect {
        Effect::Tell(note) => Some((note.subject, note.quiet)),
        _ => None,
    };
    effects.iter().filter_map(note).collect()
}

fn click(model: &mut Model, click: Click) -> Vec<Effect> {
    model.handle(Event::Clicked(click, None), seconds(100))
}

#[test]
fn six_icons() {
    let icon = |states: &[(&str, &str)]| {
        let profiles = states
            .iter()
            .zip(1..)
            .map(|((state, reason), id)| Profile { reason: (*reason).into(), ..profile(id, "P", state) });
        model(profiles.collect()).view().icon
    };
    let (on, off) = (("registered", ""), ("unregistered", "error"));
    assert_eq!(Model::default().view().icon, Icon::NoService);
    assert_eq!(icon(&[]), Icon::Off);
    assert_eq!(icon(&[("registering", "")]), Icon::Connecting);
    assert_eq!(icon(&[("waiting", "network"), ("registering", "")]), Icon::Connecting);
    assert_eq!(icon(&[on, ("registered", "degraded")]), Icon::Registered);
    assert_eq!(icon(&[on, ("waiting", "backoff")]), Icon::Partly);
    assert_eq!(icon(&[on, off]), Icon::Error);
    assert_eq!(icon(&[("waiting", "certificate")]), Icon::Error);
}

/// Its binding lives, so the icon stays; but who reads only the first line is told, and can try again.
#[test]
fn a_failed_refresh_is_in_the_summary() {
    let degraded = |id, name| Profile { reason: "degraded".into(), ..profile(id, name, "registered") };
    let view = model(vec![profile(1, "Home", "registered"), degraded(2, "Work")]).view();
    assert_eq!(
        (view.icon, view.summary.as_str()),
        (Icon::Registered, "SIP: 2 of 2 registered, last refresh of Work failed")
    );
    let mut both = model(vec![degraded(1, "Home"), degraded(2, "Work")]);
    assert!(view.retry && click(&mut both, Click::Retry).contains(&Effect::Refresh(2)));
    let view = both.view();
    assert_eq!(view.summary, "SIP: 2 of 2 registered, last refresh of 2 failed");
    let mut failed = profile(1, "Home", "unregistered");
    failed.reason = "error".into();
    assert_eq!(
        model(vec![failed, degraded(2, "Work")]).view().summary,
        "SIP: 1 of 2 registered, Home failed"
    );
}

#[test]
fn what_nobody_wants_does_not_count() {
    let mut model = model(vec![profile(1, "Home", "registered"), profile(2, "Test", "unregistered")]);
    assert_eq!(model.view().icon, Icon::Partly);
    let effects = click(&mut model, Click::Toggle(2, false));
    assert_eq!(effects, [Effect::Disable(2), Effect::Save(BTreeSet::from([1]))]);
    assert_eq!(model.view().icon, Icon::Registered);
    assert_eq!(model.view().summary, "SIP: 1 of 1 registered");
}

#[test]
fn a_failed_one_that_is_unchecked_alarms_no_more() {
    let mut model = model(vec![profile(1, "Home", "registered"), profile(2, "Work", "registering")]);
    change(&mut model, 2, failed("Registration.Unauthorized"), 1);
    assert_eq!(model.view().summary, "SIP: 1 of 2 registered, Work failed");
    assert_eq!(model.view().rows[1].label, "Work – wrong password");
    let effects = click(&mut model, Click::Toggle(2, false));
    assert!(effects.contains(&Effect::Untell(Subject::Trouble(2))));
    assert_eq!(model.view().icon, Icon::Registered);
}

#[test]
fn a_refusal_is_told_at_once_and_once() {
    for error in ["Registration.Unauthorized", "Registration.Forbidden", "Registration.UnknownUser"] {
        let mut model = model(vec![profile(1, "Work", "registering")]);
        let effects = change(&mut model, 1, failed(error), 1);
        assert_eq!(told(&effects), [(Subject::Trouble(1), false)], "{error}");
        let again = change(&mut model, 1, failed(error), 2);
        assert_eq!(told(&again), [], "{error}");
    }
}

#[test]
fn a_wait_is_told_after_thirty_seconds_and_its_end_quietly() {
    let mut model = model(vec![profile(1, "Work", "registering")]);
    assert_eq!(told(&change(&mut model, 1, patch("waiting", "backoff"), 10)), []);
    assert_eq!(model.deadline(), Some(seconds(40)));
    // An attempt in between is no end of the wait.
    change(&mut model, 1, patch("registering", ""), 20);
    assert_eq!(model.deadline(), None);
    change(&mut model, 1, patch("waiting", "backoff"), 21);
    assert_eq!(told(&model.handle(Event::Tick, seconds(39))), []);
    assert_eq!(told(&model.handle(Event::Tick, seconds(40))), [(Subject::Trouble(1), false)]);
    assert_eq!(model.deadline(), None);
    assert_eq!(told(&model.handle(Event::Tick, seconds(99))), []);
    let effects = change(&mut model, 1, patch("registered", ""), 100);
    assert_eq!(told(&effects), [(Subject::Trouble(1), true)]);
    assert_eq!(told(&change(&mut model, 1, patch("registered", ""), 101)), []);
}

#[test]
fn a_short_wait_is_never_told() {
    let mut model = model(vec![profile(1, "Work", "waiting")]);
    let effects = change(&mut model, 1, patch("registered", ""), 29);
    assert_eq!(told(&effects), []);
    assert_eq!(told(&model.handle(Event::Tick, seconds(60))), []);
}

#[test]
fn trouble_found_at_the_start_is_shown_but_not_told() {
    let mut model = Model::new(BTreeSet::new(), PATIENCE);
    model.handle(Event::Up, seconds(0));
    let stopped = Profile { reason: "error".into(), ..profile(1, "Work", "unregistered") };
    let effects = model.handle(Event::Read(1, Ok((vec![stopped], None))), seconds(0));
    assert_eq!(told(&effects), []);
    assert_eq!(model.view().icon, Icon::Error);
}

#[test]
fn a_failure_that_is_told_while_all_is_read_is_not_missed() {
    let mut model = Model::new(BTreeSet::from([1]), PATIENCE);
    model.handle(Event::Up, seconds(0));
    model.handle(Event::News(News::Changed(1, patch("registering", ""))), seconds(1));
    model.handle(Event::News(News::Changed(1, failed("Registration.Forbidden"))), seconds(1));
    let effects =
        model.handle(Event::Read(1, Ok((vec![profile(1, "Work", "unregistered")], None))), seconds(1));
    assert_eq!(told(&effects), [(Subject::Trouble(1), false)]);
}

#[test]
fn an_old_answer_is_not_looked_at() {
    let mut model = model(vec![profile(1, "Home", "registered")]);
    model.handle(Event::Down { ever: true }, seconds(1));
    assert_eq!(model.view().icon, Icon::NoService);
    assert_eq!(model.view().rows[0].label, "Home");
    model.handle(Event::Read(1, Ok((vec![profile(1, "Home", "registered")], None))), seconds(1));
    assert_eq!(model.view().icon, Icon::NoService);
    let effects = model.handle(Event::Up, seconds(2));
    assert_eq!(effects, [Effect::Greet(3, vec![1])]);
    assert_eq!(model.view().icon, Icon::NoService);
    model.handle(Event::Read(3, Ok((vec![profile(1, "Home", "registered")], None))), seconds(2));
    assert_eq!(model.view().icon, Icon::Registered);
}

#[test]
fn a_service_that_stays_away_is_called_twice_and_then_left_alone() {
    let mut model = model(vec![]);
    model.handle(Event::Down { ever: true }, seconds(0));
    assert_eq!(model.deadline(), Some(seconds(5)));
    assert_eq!(model.handle(Event::Tick, seconds(5)), [Effect::Start]);
    model.handle(Event::NotStarted, seconds(6));
    assert_eq!(model.deadline(), Some(seconds(36)));
    assert_eq!(model.handle(Event::Tick, seconds(36)), [Effect::Start]);
    model.handle(Event::NotStarted, seconds(37));
    assert_eq!(model.deadline(), None);
    assert_eq!(click(&mut model, Click::Retry), [Effect::Start]);
}

#[test]
fn the_question_about_auto_register() {
    let kept = Profile { auto_register: true, ..profile(1, "Home", "registered") };
    let mut model = model(vec![kept]);
    let effects = click(&mut model, Click::Toggle(1, false));
    assert_eq!(told(&effects), [(Subject::Question(1), false)]);
    assert!(effects.contains(&Effect::Disable(1)));
    // It stays registered, and says so, until the question is answered.
    assert!(model.view().rows[0].checked);
    assert_eq!(model.view().rows[0].label, "Home – registered by itself");
    assert!(model.view().question.is_some());
    let effects = model.handle(Event::Pressed(Subject::Question(1), Button::TurnOff, None), seconds(101));
    assert_eq!(effects, [Effect::Untell(Subject::Question(1)), Effect::AutoRegisterOff(1)]);
    assert_eq!(model.view().question, None);
}

#[test]
fn a_hold_that_is_refused_is_unchecked_again() {
    let mut model = model(vec![profile(1, "Home", "unregistered")]);
    let failure = Failure { message: "Past 64 holds.".into(), passing: false };
    let effects = model.handle(Event::Switched(1, true, Err(failure)), seconds(1));
    assert_eq!(effects[0], Effect::Save(BTreeSet::new()));
    assert_eq!(told(&effects), [(Subject::Failure(Some(1)), false)]);
    assert!(!model.view().rows[0].checked);
    click(&mut model, Click::Toggle(1, true));
    let passing = Failure { message: "gone".into(), passing: true };
    assert_eq!(model.handle(Event::Switched(1, true, Err(passing)), seconds(1)), []);
    assert!(model.view().rows[0].checked);
}

#[test]
fn other_settings_take_the_hold_again_that_the_error_dropped() {
    let mut model = model(vec![profile(1, "Work", "registering")]);
    change(&mut model, 1, failed("Registration.Unauthorized"), 1);
    let effects = model.handle(Event::News(News::Updated(1)), seconds(2));
    assert_eq!(effects, [Effect::Enable(1)]);
}

#[test]
fn force_disable_ends_the_wish() {
    let mut model = model(vec![profile(1, "Work", "registered")]);
    let effects = model.handle(Event::News(News::Forced(1)), seconds(1));
    assert_eq!(effects, [Effect::Save(BTreeSet::new())]);
}

fn ask(model: &mut Model, waiter: u64, profile: u32) -> Vec<Effect> {
    let details = Details { display_name: format!("P{profile}"), ..Details::default() };
    model.handle(Event::Asked { waiter, profile, details }, seconds(1))
}

fn tiger() -> Secret {
    Secret(zeroize::Zeroizing::new("tiger".into()))
}

#[test]
fn one_window_at_a_time_and_one_for_the_same_profile() {
    let mut model = model(vec![profile(1, "P1", "waiting"), profile(2, "P2", "waiting")]);
    assert_eq!(told(&ask(&mut model, 1, 1)), [(Subject::Prompt, false)]);
    assert_eq!(ask(&mut model, 2, 1), []);
    assert_eq!(ask(&mut model, 3, 2), []);
    assert_eq!(model.view().password.as_deref(), Some("Enter password for P1…"));
    let effects = click(&mut model, Click::Password);
    assert!(matches!(&effects[..], [Effect::Untell(Subject::Prompt), Effect::OpenPrompt(1, ..)]));
    assert_eq!(click(&mut model, Click::Password), [], "it is open");
    let effects = model.handle(Event::Closed(1, Outcome::Password(tiger(), true)), seconds(2));
    let answer = Answer::Password(tiger(), true);
    assert_eq!(effects[..2], [Effect::Answer(1, answer.clone()), Effect::Answer(2, answer)]);
    assert_eq!(told(&effects), [(Subject::Prompt, false)], "now the other one");
}

#[test]
fn a_window_opens_unasked_only_where_a_note_has_no_buttons() {
    let mut model = model(vec![profile(1, "P1", "waiting")]);
    ask(&mut model, 1, 1);
    assert_eq!(model.handle(Event::Told(Subject::Prompt, true), seconds(1)), []);
    let effects = model.handle(Event::Told(Subject::Prompt, false), seconds(1));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::OpenPrompt(..))));
}

#[test]
fn cancel_closes_the_window_and_its_late_end_means_nothing() {
    let mut model = model(vec![profile(1, "P1", "waiting")]);
    ask(&mut model, 1, 1);
    click(&mut model, Click::Password);
    let effects = model.handle(Event::Withdrawn(1), seconds(2));
    assert_eq!(effects, [Effect::ClosePrompt, Effect::Answer(1, Answer::Withdrawn)]);
    ask(&mut model, 2, 1);
    click(&mut model, Click::Password);
    assert_eq!(model.handle(Event::Closed(1, Outcome::Cancelled), seconds(3)), []);
    let effects = model.handle(Event::Closed(2, Outcome::Cancelled), seconds(3));
    assert_eq!(effects, [Effect::Answer(2, Answer::Cancelled)]);
}

#[test]
fn who_says_no_is_not_told_that_there_is_no_password() {
    let mut model = model(vec![profile(1, "P1", "waiting")]);
    ask(&mut model, 1, 1);
    click(&mut model, Click::Password);
    model.handle(Event::Closed(1, Outcome::Cancelled), seconds(3));
    assert_eq!(told(&change(&mut model, 1, failed("NoSecret"), 4)), []);
}

#[test]
fn the_service_takes_its_questions_along() {
    let mut model = model(vec![profile(1, "P1", "waiting")]);
    ask(&mut model, 1, 1);
    let effects = model.handle(Event::Down { ever: true }, seconds(2));
    assert_eq!(effects, [Effect::Untell(Subject::Prompt), Effect::Answer(1, Answer::Withdrawn)]);
    assert_eq!(model.view().password, None);
}

#[test]
fn a_refused_password_is_replaced_without_being_asked_for() {
    let mut model = model(vec![profile(1, "Work", "registering")]);
    change(&mut model, 1, failed("Registration.Unauthorized"), 1);
    assert_eq!(model.view().password.as_deref(), Some("Enter password for Work…"));
    let effects = click(&mut model, Click::Password);
    assert!(
        matches!(&effects[..], [Effect::Untell(_), Effect::OpenPrompt(1, details, None)] if details.refused && details.kept)
    );
    let effects = model.handle(Event::Closed(1, Outcome::Password(tiger(), true)), seconds(2));
    assert_eq!(effects, [Effect::SetPassword(1, tiger(), true)]);
}

#[test]
fn one_hint_about_a_missing_tray() {
    let mut model = model(vec![]);
    model.handle(Event::TrayMissing, seconds(0));
    model.handle(Event::TrayFound, seconds(20));
    assert_eq!(model.handle(Event::Tick, seconds(31)), [], "the panel was only late");
    model.handle(Event::TrayMissing, seconds(40));
    assert_eq!(told(&model.handle(Event::Tick, seconds(70))), [(Subject::NoTray, true)]);
    model.handle(Event::TrayMissing, seconds(80));
    assert_eq!(model.handle(Event::Tick, seconds(200)), []);
}

#[test]
fn names_that_two_share_are_told_apart() {
    let view = model(vec![profile(1, "Home", "registered"), profile(2, "Home", "registered")]).view();
    assert_eq!(view.rows[0].name, "Home (1@example.org)");
    assert_eq!(view.rows[1].name, "Home (2@example.org)");
}
