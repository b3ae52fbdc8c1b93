//! Shared profiles: what is asked from polkit, and what becomes of a call that waits for its answer.

use super::super::rights::Action;
use super::*;

const STRANGER: u32 = 1001;

fn shared() -> Options {
    Options(values(&[("shared", Value::Flag(true))]))
}

fn force() -> Options {
    Options(values(&[("force", Value::Flag(true))]))
}

fn token(text: &str) -> Options {
    Options(values(&[("token", Value::Text(text.into()))]))
}

fn rename(id: u32, name: &str) -> Call {
    Call::Update(id, values(&[("display-name", Value::Text(name.into()))]), Vec::new(), none())
}

/// A world with one shared profile of root's, and a client of another user.
fn shared_world() -> (World, u32, Caller) {
    let mut world = World::new();
    let id = world.create_with(&caller(9, 0), shared());
    assert_eq!(world.questions, [], "root is never asked about");
    (world, id, caller(1, STRANGER))
}

fn answers(world: &World) -> Vec<(Ticket, Result<Reply, CallErrorKind>)> {
    let kind = |answer: &Answer| answer.clone().map_err(|error| error.kind);
    world.answers.iter().map(|(ticket, answer)| (*ticket, kind(answer))).collect()
}

#[test]
fn the_table_of_rights() {
    use Action::{ForceDisable, ManageShared, UseShared};
    let new = || Call::CreateProfile(values(&[("aor", Value::Text("a@192.0.2.1".into()))]), shared());
    type Row = (fn(u32) -> Call, &'static [Action]);
    let table: [Row; 6] = [
        (|id| Call::Enable(id, none()), &[UseShared]),
        (|id| Call::Refresh(id, none()), &[UseShared]),
        (|id| rename(id, "Door"), &[ManageShared]),
        (|id| Call::ForceDisable(id, none()), &[ForceDisable]),
        (|id| Call::Remove(id, none()), &[ManageShared]),
        (|id| Call::Remove(id, force()), &[ManageShared, ForceDisable]),
    ];
    for (call, rights) in table {
        for denied in 0..=rights.len() {
            let (mut world, id, user) = shared_world();
            if matches!(call(id), Call::Refresh(..)) {
                world.call(&user, Call::Enable(id, none()));
                world.polkit(0, Verdict::Granted);
            }
            assert_eq!(world.call(&user, call(id)), None, "it waits");
            for (n, right) in rights.iter().enumerate().take(denied + 1) {
                let question = world.questions[0].clone();
                assert_eq!((question.action, question.interactive), (*right, false));
                assert_eq!(question.about, Some((id, String::from("sip:alice@192.0.2.1"))));
                world.polkit(0, if n == denied { Verdict::Refused } else { Verdict::Granted });
            }
            let answer = world.answers.last().map(|(_, answer)| answer.clone());
            match denied == rights.len() {
                true => assert!(matches!(answer, Some(Ok(_))), "{answer:?}"),
                false => assert_eq!(kind(answer), CallErrorKind::AccessDenied),
            }
            assert!(!world.registry.is_asking());
        }
    }
    let (mut world, _, user) = shared_world();
    assert_eq!(world.call(&user, new()), None);
    assert_eq!((world.questions[0].action, &world.questions[0].about), (ManageShared, &None));
    world.polkit(0, Verdict::Granted);
    assert!(matches!(world.answers[..], [(_, Ok(Reply::Created(_)))]), "{:?}", world.answers);
}

#[test]
fn reading_giving_back_and_choosing_need_no_right() {
    let (mut world, id, user) = shared_world();
    let calls = [
        Call::GetProfile(id),
        Call::Properties(id),
        Call::GetSettings(id),
        Call::ListUsers(id),
        Call::Disable(id, none()),
        Call::SetDefaultProfile(Some(id), none()),
        Call::GetDefaultProfile,
        Call::Leave(none()),
    ];
    for call in calls {
        assert!(matches!(world.call(&user, call.clone()), Some(Ok(_))), "{call:?}");
    }
    assert_eq!(world.questions, []);
}

#[test]
fn nobody_is_asked_for_a_call_with_wrong_arguments() {
    let (mut world, id, user) = shared_world();
    let odd = Options(values(&[("odd", Value::Flag(true))]));
    let wrong = values(&[("expires", Value::Number(1))]);
    for (call, error) in [
        (Call::Enable(id, odd), CallErrorKind::InvalidSetting),
        (Call::Update(id, wrong, Vec::new(), none()), CallErrorKind::InvalidSetting),
        (Call::Enable(99, none()), CallErrorKind::UnknownObject),
    ] {
        assert_eq!(kind(world.call(&user, call)), error);
    }
    assert_eq!(world.questions, []);
}

#[test]
fn what_each_verdict_means() {
    let failed = Verdict::Failed(String::from("it is not there"));
    for (verdict, interactive, expected, part) in [
        (Verdict::Refused, false, CallErrorKind::AccessDenied, "did not grant"),
        (
            Verdict::Challenge,
            false,
            CallErrorKind::InteractiveAuthorizationRequired,
            "ALLOW_INTERACTIVE_AUTHORIZATION",
        ),
        (Verdict::Challenge, true, CallErrorKind::AccessDenied, "agent"),
        (failed, true, CallErrorKind::AccessDenied, "it is not there"),
    ] {
        let (mut world, id, user) = shared_world();
        let (call, caller) = (Call::Enable(id, none()), user.clone());
        world.apply(Command::Call { caller, call, ticket: 70, interactive });
        assert_eq!(world.questions[0].interactive, interactive);
        world.polkit(0, verdict);
        let (_, answer) = world.answers.remove(0);
        let error = answer.unwrap_err();
        assert_eq!(error.kind, expected);
        assert!(error.message.contains(part), "{error}");
        assert!(error.message.contains("org.sipprofiles.use-shared"), "{error}");
        assert_eq!(world.face(&user, id).users, 0);
    }
}

#[test]
fn after_the_answer_the_profile_is_looked_up_again() {
    let (mut world, id, user) = shared_world();
    for verdict in [Verdict::Granted, Verdict::Refused] {
        world.call(&user, Call::Enable(id, none()));
        world.call(&caller(9, 0), Call::Remove(id, none()));
        world.polkit(0, verdict);
        assert_eq!(kind(world.answers.pop().map(|(_, answer)| answer)), CallErrorKind::UnknownObject);
    }
}

#[test]
fn a_profile_that_somebody_has_taken_meanwhile_is_in_use() {
    let (mut world, id, user) = shared_world();
    world.call(&user, Call::Remove(id, none()));
    world.call(&caller(9, 0), Call::Enable(id, none()));
    world.polkit(0, Verdict::Granted);
    assert_eq!(kind(world.answers.pop().map(|(_, answer)| answer)), CallErrorKind::InUse);
}

#[test]
fn a_yes_for_a_dead_caller_holds_nothing() {
    let (mut world, id, user) = shared_world();
    world.call(&user, Call::Enable(id, none()));
    let ticket = world.questions[0].ticket;
    world.apply(Command::Gone(user.name.clone()));
    assert_eq!(world.questions, [], "the question is withdrawn");
    world.apply(Command::Authorized { ticket, verdict: Verdict::Granted });
    assert_eq!((&world.answers, &world.flying), (&Vec::new(), &BTreeMap::new()));
    assert_eq!(world.face(&caller(9, 0), id).users, 0);
    assert!(!world.registry.is_asking());
}

#[test]
fn calls_of_one_client_about_one_profile_keep_their_order() {
    let (mut world, id, user) = shared_world();
    let first = world.tickets + 1;
    world.call(&user, Call::Enable(id, none()));
    world.call(&user, Call::Refresh(id, none()));
    world.call(&user, rename(id, "Door"));
    // Decided by itself this would be no change at all, and the name would stay Door.
    world.call(&user, rename(id, "sip:alice@192.0.2.1"));
    assert_eq!(world.questions.len(), 4, "asked at once, so that a slow polkit is waited for once");
    for last in [3, 2, 1] {
        world.polkit(last, Verdict::Granted);
        assert_eq!(world.answers, [], "an earlier call is not decided yet");
    }
    world.polkit(0, Verdict::Granted);
    let expected = [Reply::State("registering"), Reply::Done, Reply::Done, Reply::Done];
    let expected: Vec<_> = (first..).zip(expected.map(Ok)).collect();
    assert_eq!(answers(&world), expected);
    assert_eq!(world.disk[&id].settings.shown_name(), "sip:alice@192.0.2.1");
}

#[test]
fn other_profiles_and_other_clients_do_not_wait() {
    let (mut world, id, user) = shared_world();
    let other = world.create_with(&caller(9, 0), shared());
    let own = world.create(&user);
    world.call(&user, Call::Enable(id, none()));
    assert!(matches!(world.call(&user, Call::Properties(id)), Some(Ok(_))));
    assert!(matches!(world.call(&user, Call::Enable(own, none())), Some(Ok(_))));
    world.call(&user, Call::Enable(other, none()));
    world.call(&caller(2, STRANGER), Call::Enable(id, none()));
    world.polkit(2, Verdict::Granted);
    assert_eq!(world.answers.len(), 1);
    world.polkit(1, Verdict::Granted);
    assert_eq!(world.answers.len(), 1);
    assert_eq!((world.face(&user, id).users, world.face(&user, other).users), (1, 1));
}

#[test]
fn disable_and_leave_end_an_enable_that_waits_for_polkit() {
    let (mut world, id, user) = shared_world();
    world.call(&user, Call::Enable(id, token("a")));
    world.call(&user, Call::Enable(id, token("b")));
    assert_eq!(world.call(&user, Call::Disable(id, token("a"))), Some(Ok(Reply::Flag(false))));
    assert_eq!(answers(&world)[1].1, Err(CallErrorKind::NotEnabled), "after the reply to Disable");
    assert_eq!(world.questions.len(), 1);
    assert_eq!(world.call(&user, Call::Leave(none())), Some(Ok(Reply::Done)));
    assert_eq!(answers(&world)[1].1, Err(CallErrorKind::NotEnabled));
    assert!(!world.registry.is_asking() && !world.registry.sessions.contains_key(&user.name));
}

#[test]
fn four_questions_of_a_user_and_sixty_four_in_all() {
    let (mut world, id, _) = shared_world();
    for n in 0..limits::QUESTIONS as u32 {
        assert_eq!(world.call(&caller(100 + n, STRANGER), Call::Enable(id, none())), None);
    }
    let refused = world.call(&caller(200, STRANGER), Call::Enable(id, none()));
    assert!(matches!(&refused, Some(Err(error)) if error.message.starts_with("At most 4 ")), "{refused:?}");
    assert_eq!(kind(refused), CallErrorKind::LimitExceeded);
    for n in limits::QUESTIONS as u32..limits::QUESTIONS_ALL as u32 {
        assert_eq!(world.call(&caller(300 + n, 2000 + n), Call::Enable(id, none())), None);
    }
    let refused = world.call(&caller(201, 5000), Call::Enable(id, none()));
    assert!(matches!(&refused, Some(Err(error)) if error.message.starts_with("At most 64 ")), "{refused:?}");
    assert!(world.call(&caller(9, 0), Call::Enable(id, none())).unwrap().is_ok(), "root asks nobody");
    world.polkit(0, Verdict::Refused);
    assert_eq!(world.call(&caller(201, 5000), Call::Enable(id, none())), None);
}

#[test]
fn the_end_of_the_service_waits_for_no_dialog() {
    for end in [Command::Shutdown, Command::HandOver] {
        let (mut world, id, user) = shared_world();
        world.call(&user, Call::Enable(id, none()));
        world.apply(end);
        assert_eq!(answers(&world), [(world.tickets, Err(CallErrorKind::ShuttingDown))]);
        assert!(world.questions.is_empty() && !world.registry.is_asking());
    }
}

#[test]
fn a_session_bus_has_no_shared_profiles_for_users() {
    let (mut world, id, user) = shared_world();
    world.registry.rules.session_bus = true;
    assert_eq!(kind(world.call(&user, Call::Enable(id, none()))), CallErrorKind::AccessDenied);
    assert_eq!(world.questions, []);
}
