//! Shared profiles and an authority that hangs, dies, lies, or is not there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sip_profiles_tests::PATIENCE;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name, error_text};
use sip_profiles_tests::polkit::FakePolkit;
use zbus::Variant;

const USER: u32 = 1;
const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

fn aor() -> Dict<'static> {
    Dict::from([("aor", Variant::from("sip:door@127.0.0.1"))])
}

fn named(name: &str) -> Dict<'_> {
    Dict::from([("display-name", Variant::from(name))])
}

/// A bus with a shared profile of root's, and a client of a user.
async fn shared(options: Options) -> (Bus, Client, u32, Client) {
    let bus = Bus::start(options);
    let root = Client::connect(&bus).await;
    let id = root.create_shared(aor()).await.unwrap();
    let user = Client::connect_as(&bus, USER).await;
    (bus, root, id, user)
}

#[tokio::test]
async fn without_polkit_shared_profiles_are_roots_to_use_and_change() {
    let (_bus, root, id, user) = shared(Options::default()).await;
    let (no, nothing) = (Dict::new(), Vec::<&str>::new());
    let created = user.create_shared(aor()).await.map(drop);
    let updated = user.profile(id, "Update", &(named("Mine"), &nothing, &no)).await.map(drop);
    let mut refused = vec![created, updated];
    for member in ["Enable", "Refresh", "ForceDisable", "Remove"] {
        refused.push(user.profile(id, member, &no).await.map(drop));
    }
    for result in refused {
        assert_eq!(error_name(result.clone()), DENIED);
        let text = error_text(result);
        assert!(text.contains("org.freedesktop.PolicyKit1") && text.contains("only root"), "{text}");
    }
    assert!(!user.disable(id).await.unwrap(), "giving back needs no right");
    root.update(id, named("Door"), &[]).await.unwrap();
    root.enable(id, Dict::new()).await.unwrap();
    root.profile(id, "ForceDisable", &no).await.unwrap();
    root.profile(id, "Remove", &no).await.unwrap();
}

#[tokio::test]
async fn polkit_is_asked_about_the_callers_bus_name() {
    let (bus, _root, id, user) = shared(Options::default()).await;
    let mut polkit = FakePolkit::start(&bus).await;
    let own = user.create(aor()).await.unwrap();
    user.enable(own, Dict::new()).await.unwrap();
    let (no, force) = (Dict::new(), Dict::from([("force", Variant::from(true))]));
    let name = user.connection.unique_name().unwrap().to_string();
    let (use_it, manage) = ("org.sipprofiles.use-shared", "org.sipprofiles.manage-shared");
    for (member, options, actions) in [
        ("Enable", &no, vec![use_it]),
        ("Refresh", &no, vec![use_it]),
        ("ForceDisable", &no, vec!["org.sipprofiles.force-disable"]),
        ("Remove", &force, vec![manage, "org.sipprofiles.force-disable"]),
    ] {
        let answers = async {
            for action in actions {
                let asked = polkit.next().await;
                assert_eq!((&asked.name, asked.action.as_str(), asked.flags), (&name, action, 0));
                assert_eq!(asked.details["aor"], "sip:door@127.0.0.1");
                assert_eq!(asked.details["profile"], id.to_string());
                polkit.say(&asked, true, false).await;
            }
        };
        let (reply, ()) = tokio::join!(user.profile(id, member, options), answers);
        assert!(reply.is_ok(), "{member}: {reply:?}");
    }
    let yes = async {
        let asked = polkit.next().await;
        assert_eq!((asked.action.as_str(), asked.details.len()), (manage, 0));
        polkit.say(&asked, true, false).await;
    };
    let (created, ()) = tokio::join!(user.create_shared(aor()), yes);
    let owner = user.properties(created.unwrap()).await.unwrap()["Owner"].clone();
    assert_eq!(u32::try_from(owner).unwrap(), USER, "its maker");
    assert!(polkit.is_idle(), "one's own profiles and root need no right");
}

#[tokio::test]
async fn a_dialog_only_where_the_call_allows_one() {
    let (bus, _root, id, user) = shared(Options::default()).await;
    let mut polkit = FakePolkit::start(&bus).await;
    let challenge = async |polkit: &mut FakePolkit, flags| {
        let asked = polkit.next().await;
        assert_eq!(asked.flags, flags);
        polkit.say(&asked, false, true).await;
    };
    let no = Dict::new();
    let (quiet, ()) = tokio::join!(user.profile(id, "Enable", &no), challenge(&mut polkit, 0));
    assert_eq!(error_name(quiet), "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired");
    let loud = user.profile_with_dialog::<_, String>(id, "Enable", &no);
    let (loud, ()) = tokio::join!(loud, challenge(&mut polkit, 1));
    assert_eq!(error_name(loud), DENIED);
    let dismissed = async {
        let asked = polkit.next().await;
        let details = HashMap::from([("polkit.dismissed", "true")]);
        polkit.answer(&asked, &((false, true, details),)).await;
    };
    let (refused, ()) = tokio::join!(user.profile(id, "Enable", &no), dismissed);
    assert_eq!(error_name(refused), DENIED);
}

#[tokio::test]
async fn an_authority_that_makes_no_sense_says_no() {
    let (bus, _root, id, user) = shared(Options::default()).await;
    let mut polkit = FakePolkit::start(&bus).await;
    for lie in 0..6 {
        let answer = async {
            let asked = polkit.next().await;
            match lie {
                0 => polkit.answer(&asked, &()).await,
                1 => polkit.answer(&asked, &true).await,
                2 => polkit.answer(&asked, &"yes").await,
                3 => polkit.answer(&asked, &((1u32, 0u32, HashMap::<String, String>::new()),)).await,
                4 => polkit.answer(&asked, &((true, false),)).await,
                _ => polkit.fail(&asked, "I am not well").await,
            }
        };
        let (refused, ()) = tokio::join!(user.enable(id, Dict::new()), answer);
        assert_eq!(error_name(refused), DENIED, "lie {lie}");
    }
    let dying = async {
        let asked = polkit.next().await;
        polkit.say(&asked, false, false).await;
        let asked = polkit.next().await;
        drop(polkit);
        asked
    };
    let calls = async { (user.enable(id, Dict::new()).await, user.enable(id, Dict::new()).await) };
    let ((refused, failed), _) = tokio::join!(calls, dying);
    assert_eq!((error_name(refused), error_name(failed)), (DENIED.to_owned(), DENIED.to_owned()));
    assert_eq!(user.users(id).await, 0);
}

#[tokio::test]
async fn a_yes_that_comes_after_the_callers_end_holds_nothing() {
    let (bus, root, id, user) = shared(Options::default()).await;
    let mut polkit = FakePolkit::start(&bus).await;
    let call = tokio::spawn(async move { user.enable(id, Dict::new()).await });
    let asked = polkit.next().await;
    call.abort();
    let _ = call.await;
    polkit.until_cancelled(&asked).await;
    polkit.say(&asked, true, false).await;
    assert_eq!((root.users(id).await, root.state(id).await), (0, String::from("unregistered")));
}

#[tokio::test]
async fn a_yes_for_a_profile_that_is_gone_is_too_late() {
    let (bus, root, id, user) = shared(Options::default()).await;
    let mut polkit = FakePolkit::start(&bus).await;
    let late = async {
        let asked = polkit.next().await;
        root.profile(id, "Remove", &Dict::new()).await.unwrap();
        polkit.say(&asked, true, false).await;
    };
    let (gone, ()) = tokio::join!(user.enable(id, Dict::new()), late);
    assert_eq!(error_name(gone), "org.freedesktop.DBus.Error.UnknownObject");
}

#[tokio::test]
async fn a_call_does_not_overtake_the_one_that_waits_for_polkit() {
    let (bus, root, id, user) = shared(Options::default()).await;
    let mut polkit = FakePolkit::start(&bus).await;
    let backwards = async {
        let (first, second) = (polkit.next().await, polkit.next().await);
        polkit.say(&second, true, false).await;
        user.properties(id).await.expect("reading does not wait");
        assert_eq!(root.users(id).await, 0);
        polkit.say(&first, true, false).await;
    };
    let (no, first, second) = (Dict::new(), named("First"), named("Second"));
    let nothing = Vec::<&str>::new();
    let (one, two) = (&(first, &nothing, &no), &(second, &nothing, &no));
    let (one, two, ()) =
        tokio::join!(user.profile(id, "Update", one), user.profile(id, "Update", two), backwards);
    assert!(one.is_ok() && two.is_ok());
    let properties = root.properties(id).await.unwrap();
    assert_eq!(sip_profiles_tests::client::text(&properties["DisplayName"]), "Second");
}

#[tokio::test]
async fn four_questions_of_a_user_at_once_and_one_that_hangs_is_a_no() {
    let (bus, root, id, _user) = shared(Options::default()).await;
    let mut polkit = FakePolkit::start(&bus).await;
    let began = Instant::now();
    let mut calls = Vec::new();
    for _ in 0..4 {
        let user = Client::connect_as(&bus, USER).await;
        calls.push(tokio::spawn(async move { user.enable(id, Dict::new()).await }));
    }
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(polkit.next().await);
    }
    let fifth = Client::connect_as(&bus, USER).await;
    let refused = fifth.enable(id, Dict::new()).await;
    assert_eq!(error_name(refused.clone()), "org.sipprofiles.Error.LimitExceeded");
    assert!(error_text(refused).contains("At most 4 polkit questions"));
    let other = Client::connect_as(&bus, 65534).await;
    let call = tokio::spawn(async move { (other.enable(id, Dict::new()).await, other) });
    let of_other = polkit.next().await;
    polkit.say(&of_other, true, false).await;
    let (state, other) = call.await.unwrap();
    assert!(state.is_ok(), "others go on: {state:?}");
    fifth.create(aor()).await.expect("and so does everything else");
    for call in calls {
        let refused = tokio::time::timeout(PATIENCE + PATIENCE, call).await.unwrap().unwrap();
        assert_eq!(error_name(refused.clone()), DENIED);
        assert!(error_text(refused).contains("did not answer within 25 s"));
    }
    assert!(began.elapsed() > Duration::from_secs(24));
    for asked in &asked {
        polkit.until_cancelled(asked).await;
    }
    assert_eq!(root.users(id).await, 1);
    drop(other);
}

#[tokio::test]
async fn the_service_ends_whatever_polkit_does() {
    for signal in [Signal::TERM, Signal::USR1] {
        let (bus, _root, id, user) = shared(Options::default()).await;
        let mut polkit = FakePolkit::start(&bus).await;
        let end = async {
            polkit.next().await;
            let pid = bus.service_pid();
            bus.signal_service(signal);
            let began = Instant::now();
            bus.await_end(pid).await;
            assert!(began.elapsed() < Duration::from_secs(3));
        };
        let (refused, ()) = tokio::join!(user.enable(id, Dict::new()), end);
        assert_eq!(error_name(refused), "org.sipprofiles.Error.ShuttingDown");
    }
}

#[tokio::test]
async fn l1_a_call_that_waits_for_polkit_keeps_the_service_alive() {
    let options = Options { idle_timeout: 0.1, ..Options::default() };
    let (bus, root, id, user) = shared(options).await;
    let mut polkit = FakePolkit::start(&bus).await;
    let (pid, no, nothing) = (bus.service_pid(), Dict::new(), Vec::<&str>::new());
    let slow = async {
        let asked = polkit.next().await;
        root.root("Leave", &no).await.unwrap();
        user.root("Leave", &no).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        polkit.say(&asked, true, false).await;
    };
    let update = (named("Door"), &nothing, &no);
    let (reply, ()) = tokio::join!(user.profile(id, "Update", &update), slow);
    assert!(reply.is_ok(), "{reply:?}");
    bus.await_end(pid).await;
    let properties = user.properties(id).await.unwrap();
    assert_eq!(sip_profiles_tests::client::text(&properties["DisplayName"]), "Door");
}
