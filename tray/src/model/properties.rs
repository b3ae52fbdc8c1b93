//! What must hold whatever happens, in whatever order.

use proptest::prelude::*;

use super::tests::{patch, profile, seconds};
use super::*;

fn any_patch() -> impl Strategy<Value = Patch> {
    let states = ["unregistered", "registering", "registered", "waiting", "unregistering", "hovering"];
    let reasons = ["", "error", "degraded", "network", "backoff", "secret", "certificate"];
    let users = proptest::option::of(0u32..3);
    (
        prop::sample::select(states.to_vec()),
        prop::sample::select(reasons.to_vec()),
        users,
        any::<Option<bool>>(),
    )
        .prop_map(|(state, reason, users, auto)| Patch {
            users,
            auto_register: auto,
            ..patch(state, reason)
        })
}

fn any_click() -> impl Strategy<Value = Click> {
    prop_oneof![
        (1u32..5, any::<bool>()).prop_map(|(id, on)| Click::Toggle(id, on)),
        (1u32..5).prop_map(Click::Default),
        Just(Click::Retry),
        Just(Click::TurnOff),
        Just(Click::Password),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Up),
        any::<bool>().prop_map(|ever| Event::Down { ever }),
        (1u64..9, prop::collection::vec((1u32..5, any_patch()), 0..4)).prop_map(|(number, all)| {
            let all = all.into_iter().map(|(id, patch)| Profile::new(id, patch)).collect();
            Event::Read(number, Ok((all, Some(1))))
        }),
        (1u32..5, any_patch()).prop_map(|(id, patch)| Event::News(News::Changed(id, patch))),
        (1u32..5, any_patch()).prop_map(|(id, patch)| Event::News(News::Added(id, patch))),
        (1u32..5).prop_map(|id| Event::News(News::Removed(id))),
        (1u32..5).prop_map(|id| Event::News(News::Forced(id))),
        any_click().prop_map(|click| Event::Clicked(click, None)),
        (0u64..50, 1u32..5).prop_map(|(waiter, profile)| Event::Asked {
            waiter,
            profile,
            details: Details::default()
        }),
        (1u32..5).prop_map(Event::Withdrawn),
        (1u64..9).prop_map(|number| Event::Closed(number, Outcome::Cancelled)),
        Just(Event::Told(Subject::Prompt, false)),
        Just(Event::Tick),
    ]
}

proptest! {
    /// Whatever happens: no icon but "no service" without the service; one window at most; nobody is answered twice
    /// or for nothing; a deadline is always ahead, so that the applet sleeps.
    #[test]
    fn whatever_happens(events in prop::collection::vec(any_event(), 0..60)) {
        let mut model = Model::new(BTreeSet::from([1, 2]), PATIENCE);
        let (mut up, mut open, mut asked) = (false, 0, Vec::new());
        for (event, now) in events.into_iter().zip((0..).step_by(3)) {
            // Each question has a number of its own.
            let event = match event {
                Event::Asked { profile, details, .. } => Event::Asked { waiter: now, profile, details },
                other => other,
            };
            match &event {
                Event::Up => up = true,
                Event::Down { .. } => up = false,
                Event::Asked { waiter, .. } => asked.push(*waiter),
                Event::Closed(number, _) if model.prompts.concerned(*number).is_some() => open -= 1,
                _ => {}
            }
            for effect in model.handle(event, seconds(now)) {
                match effect {
                    Effect::OpenPrompt(..) => open += 1,
                    Effect::ClosePrompt => open -= 1,
                    Effect::Answer(waiter, _) => {
                        let place = asked.iter().position(|one| *one == waiter);
                        prop_assert!(place.is_some(), "answered {waiter}");
                        asked.swap_remove(place.unwrap_or_default());
                    }
                    _ => {}
                }
            }
            prop_assert!(open == 0 || open == 1, "{open} windows");
            prop_assert!(up || model.view().icon == Icon::NoService);
            prop_assert!(model.deadline().is_none_or(|at| at > seconds(now)));
        }
    }

    /// What was read while changes came ends as if all had been seen in order.
    #[test]
    fn a_reading_loses_no_change(
        changes in prop::collection::vec((1u32..3, any_patch()), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut truth: Vec<Profile> = vec![profile(1, "A", "unregistered"), profile(2, "B", "unregistered")];
        let mut model = Model::new(BTreeSet::new(), PATIENCE);
        model.handle(Event::Up, seconds(0));
        let cut = cut.index(changes.len() + 1);
        // The answer is made there, and arrives after all the changes.
        let mut answer = truth.clone();
        for (place, (id, patch)) in changes.into_iter().enumerate() {
            if place < cut {
                answer[id as usize - 1].apply(patch.clone());
            }
            truth[id as usize - 1].apply(patch.clone());
            model.handle(Event::News(News::Changed(id, patch)), seconds(0));
        }
        model.handle(Event::Read(1, Ok((answer, None))), seconds(0));
        prop_assert_eq!(model.profiles.values().cloned().collect::<Vec<_>>(), truth);
    }
}
