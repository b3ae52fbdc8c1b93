//! The service is killed at every step of a profile's life, at many instants of each (U1, H9, L4): what was acknowledged
//! is so, holds neither get lost nor stay behind, the registrar has one binding at most, and no id comes twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sip_profiles_tests::PATIENCE;
use sip_profiles_tests::bus::{Bus, Options, is_running};
use sip_profiles_tests::client::{Client, Dict, Map, error_name};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use tokio::task::JoinHandle;
use zbus::{OwnedObjectPath, Variant};

/// The steps of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Create,
    Update,
    Enable,
    Refresh,
    /// Disable in every other life; in the others the holder dies.
    LetGo,
    Remove,
    Leave,
}

const STEPS: [Step; 7] =
    [Step::Create, Step::Update, Step::Enable, Step::Refresh, Step::LetGo, Step::Remove, Step::Leave];

/// When the kill comes after a step's beginning, microseconds; besides those, at its reply.
const INSTANTS: [u64; 16] =
    [0, 100, 250, 500, 800, 1_200, 1_700, 2_300, 3_000, 4_000, 5_500, 7_500, 10_000, 14_000, 20_000, 30_000];

fn account(aor: String, registrar: &Registrar) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(aor)),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("auth-user", Variant::from("alice")),
        ("password", Variant::from("wonderland")),
    ])
}

/// What a client knows of something that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    No,
    /// It was asked for, and no answer came.
    Maybe,
    Yes,
}

impl Known {
    fn allows(self, is_so: bool) -> bool {
        match self {
            Known::No => !is_so,
            Known::Maybe => true,
            Known::Yes => is_so,
        }
    }
}

/// The life of one profile.
struct Life<'a> {
    bus: &'a Bus,
    registrar: &'a Registrar,
    client: Client,
    number: u32,
    id: Option<u32>,
    there: Known,
    updated: Known,
    held: Known,
    kills: usize,
    /// Calls that a kill left without an answer.
    unanswered: usize,
}

impl<'a> Life<'a> {
    async fn new(bus: &'a Bus, registrar: &'a Registrar, number: u32) -> Self {
        let client = Client::connect(bus).await;
        let (there, updated, held) = (Known::No, Known::No, Known::No);
        Self { bus, registrar, client, number, id: None, there, updated, held, kills: 0, unanswered: 0 }
    }

    fn aor(&self) -> String {
        format!("sip:life-{}@127.0.0.1", self.number)
    }

    /// Lives it, with one kill at a step: so long after its beginning, or at its reply.
    async fn live(&mut self, killed_at: Step, delay: Option<Duration>) {
        for step in STEPS {
            let killer = delay.filter(|_| step == killed_at).map(|delay| kill_after(self.bus, delay));
            self.note(step, Known::Maybe);
            let outcome = self.take(step).await;
            if outcome.is_ok() {
                self.note(step, Known::Yes);
            }
            let pid = match killer {
                Some(killer) => killer.await.expect("it only kills"),
                None if step == killed_at => {
                    kill_after(self.bus, Duration::ZERO).await.expect("it only kills")
                }
                None => None,
            };
            if let Some(pid) = pid {
                self.kills += 1;
                self.bus.await_end(pid).await;
                self.check().await;
            }
            if let Err(error) = outcome {
                assert!(self.kills > 0 && step == killed_at, "{step:?} fails by itself: {error}");
                self.unanswered += 1;
                self.take(step).await.expect("the successor takes it");
                self.note(step, Known::Yes);
            }
            self.settle(step).await;
        }
    }

    fn note(&mut self, step: Step, known: Known) {
        let gone = if known == Known::Yes { Known::No } else { Known::Maybe };
        match step {
            Step::Create => self.there = known,
            Step::Update => self.updated = known,
            Step::Enable => self.held = known,
            Step::LetGo => self.held = gone,
            Step::Remove => self.there = gone,
            Step::Refresh | Step::Leave => {}
        }
    }

    async fn take(&mut self, step: Step) -> zbus::Result<()> {
        let id = self.id.unwrap_or_default();
        match step {
            Step::Create => self.create().await,
            Step::Update => {
                let set = Dict::from([("x-number", Variant::from(self.number))]);
                self.client.update(id, set, &[]).await
            }
            Step::Enable => {
                self.client.enable_and_wait(id).await.map(|state| assert_eq!(state, "registered"))
            }
            Step::Refresh => self.client.profile(id, "Refresh", &Dict::new()).await.map(drop),
            Step::LetGo if self.number.is_multiple_of(2) => self.client.disable(id).await.map(drop),
            Step::LetGo => {
                self.client.connection.clone().close().await?;
                self.client = Client::connect(self.bus).await;
                Ok(())
            }
            Step::Remove if !self.is_there().await? => Ok(()),
            Step::Remove => self.client.profile(id, "Remove", &Dict::new()).await.map(drop),
            Step::Leave => self.client.root("Leave", &Dict::new()).await.map(drop),
        }
    }

    async fn create(&mut self) -> zbus::Result<()> {
        if self.id.is_some() {
            return Ok(());
        }
        self.id = Some(self.client.create(account(self.aor(), self.registrar)).await?);
        Ok(())
    }

    async fn is_there(&mut self) -> zbus::Result<bool> {
        let filter = Dict::from([("aor", Variant::from(self.aor()))]);
        let reply = self.client.root("FindProfiles", &filter).await?;
        let found = reply.body().deserialize::<Vec<OwnedObjectPath>>()?;
        assert!(found.len() <= 1, "{found:?}");
        let id = found.first().and_then(|path| path.as_str().rsplit('/').next()?.parse().ok());
        assert!(self.id.is_none() || id.is_none() || self.id == id, "{:?} has become {id:?}", self.id);
        self.id = self.id.or(id);
        Ok(id.is_some())
    }

    /// The successor says what the predecessor has acknowledged.
    async fn check(&mut self) {
        let is_there = self.is_there().await.expect("a successor answers");
        assert!(self.there.allows(is_there), "there: {is_there}, known {:?}", self.there);
        let Some(id) = self.id else { return };
        let settings = self.client.profile(id, "GetSettings", &()).await;
        if !is_there {
            assert_eq!(error_name(settings), "org.freedesktop.DBus.Error.UnknownObject");
            return;
        }
        let settings = settings.unwrap().body().deserialize::<Map>().unwrap();
        let is_updated =
            settings.get("x-number").is_some_and(|number| **number == Variant::from(self.number));
        assert!(self.updated.allows(is_updated), "updated: {is_updated}, known {:?}", self.updated);
        assert!(bool::try_from(settings["has-password"].clone()).unwrap());
        let is_held = self.client.profile(id, "IsEnabled", &()).await.unwrap().body().deserialize().unwrap();
        assert!(self.held.allows(is_held), "held: {is_held}, known {:?}", self.held);
        assert!(self.client.users(id).await <= 1);
    }

    /// The registrar comes to have what the holder wants.
    async fn settle(&mut self, step: Step) {
        let (aor, wanted) = (self.aor(), usize::from(self.held == Known::Yes));
        let what = format!("{wanted} binding of {aor} after {step:?}");
        self.registrar.until(&what, |it| it.bindings(&aor).len() == wanted).await;
        if step == Step::LetGo {
            let id = self.id.expect("it was created");
            assert_eq!(self.client.users(id).await, 0, "a hold stays behind");
        }
    }
}

/// Kills the service that runs then, if one does, and says which.
fn kill_after(bus: &Bus, delay: Duration) -> JoinHandle<Option<Pid>> {
    let pids = bus.path("pids");
    // The runtime's timers have a grain of a millisecond.
    tokio::task::spawn_blocking(move || {
        std::thread::sleep(delay);
        let text = std::fs::read_to_string(pids).unwrap_or_default();
        let pid = text.lines().last().and_then(|line| line.parse().ok()).and_then(Pid::from_raw)?;
        (is_running(pid) && kill_process(pid, Signal::KILL).is_ok()).then_some(pid)
    })
}

fn instances(registrar: &Registrar, aor: &str) -> BTreeSet<String> {
    let requests = registrar.requests();
    let of_it = requests.iter().filter(|received| received.message.aor() == aor);
    let instance =
        |params: &str| params.split(';').find(|param| param.starts_with("+sip.instance")).map(str::to_owned);
    of_it.filter_map(|received| instance(received.message.contact_params())).collect()
}

/// How often all instants may be gone through until enough kills have fallen into a call: machines differ in speed.
const ROUNDS: usize = 8;

/// Lives with kills at `steps`, until as many of them as wanted have left a call unanswered; returns how many kills there
/// were.
async fn lives(registrar: &Registrar, steps: &[Step], in_calls: usize) -> usize {
    let bus = Bus::start(Options { idle_timeout: 0.05, ..Options::default() });
    let (mut kills, mut unanswered, mut number, mut last_id) = (0, 0, 0, 0);
    let rounds = (0..ROUNDS).flat_map(|round| steps.iter().map(move |step| (round, step)));
    for (round, step) in rounds {
        if round > 0 && unanswered >= in_calls {
            break;
        }
        let delays = INSTANTS.map(|micros| Some(Duration::from_micros(micros)));
        for delay in delays.into_iter().chain([None]) {
            number += 1;
            let mut life = Life::new(&bus, registrar, number).await;
            life.live(*step, delay).await;
            kills += life.kills;
            unanswered += life.unanswered;
            let id = life.id.expect("it was created");
            assert!(id > last_id, "{id} was given after {last_id}");
            last_id = id;
            assert_eq!(instances(registrar, &life.aor()).len(), 1, "L4: one instance for life");
        }
    }
    let last = bus.service_pid();
    if let Some(pid) = kill_after(&bus, Duration::ZERO).await.expect("it only kills") {
        bus.await_end(pid).await;
    }
    let client = Client::connect(&bus).await;
    client.root("FindProfiles", &Dict::new()).await.unwrap();
    assert_ne!(bus.service_pid(), last, "a successor has written its journal anew");
    let journal = std::fs::read_to_string(bus.path("run/journal")).unwrap();
    assert!(!journal.contains("{\"hold\""), "{journal}");
    assert!(!bus.log().contains("set aside") && !bus.log().contains("panicked"), "{}", bus.log());
    assert!(unanswered >= in_calls, "only {unanswered} of {kills} kills fell into a call");
    kills
}

#[tokio::test]
async fn u1_h9_l4_a_hundred_kills_of_all_steps_lose_and_leak_nothing() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let kills = lives(&registrar, &STEPS, 15).await;
    assert!(kills >= 100, "{kills} kills");
}

#[tokio::test]
async fn l4_where_instance_ids_are_ignored_bindings_are_not_doubled_either() {
    let registrar = Registrar::start(Behaviour { ignores_instances: true, ..Behaviour::default() }).await;
    let kills = lives(&registrar, &[Step::Enable, Step::Refresh], 5).await;
    assert!(kills >= 30, "{kills} kills");
}

/// Kills the service that runs.
async fn kill(bus: &Bus) {
    let pid = kill_after(bus, Duration::ZERO).await.expect("it only kills").expect("it runs");
    bus.await_end(pid).await;
}

#[tokio::test]
async fn u5_u3c_l4_a_binding_owed_to_a_removal_or_a_move_does_not_outlive_a_kill() {
    let (old, new) =
        (Registrar::start(Behaviour::default()).await, Registrar::start(Behaviour::default()).await);
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let aor = String::from("sip:alice@127.0.0.1");
    let id = client.create(account(aor, &old)).await.unwrap();
    client.enable_and_wait(id).await.unwrap();
    let has = |registrar: &Registrar, count| registrar.bindings("sip:alice@127.0.0.1").len() == count;
    assert!(has(&old, 1));

    old.behave(|it| it.loses_every = 1);
    let moved = Dict::from([("registrar", Variant::from(new.address().to_string()))]);
    client.update(id, moved, &[]).await.unwrap();
    kill(&bus).await;
    old.behave(|it| it.loses_every = 0);
    client.properties(id).await.unwrap();
    new.until("the move is finished", |new| has(new, 1) && has(&old, 0)).await;

    new.behave(|it| it.loses_every = 1);
    client.profile(id, "Remove", &Dict::from([("force", Variant::from(true))])).await.unwrap();
    kill(&bus).await;
    new.behave(|it| it.loses_every = 0);
    assert_eq!(error_name(client.properties(id).await), "org.freedesktop.DBus.Error.UnknownObject");
    new.until("the removal is finished", |new| has(new, 0)).await;

    let left = || {
        let folders = ["profiles", "secrets", "farewells"].map(|name| bus.path("state").join(name));
        folders.iter().map(|folder| std::fs::read_dir(folder).expect("it is there").count()).sum::<usize>()
    };
    let end = Instant::now() + PATIENCE;
    while left() > 0 {
        assert!(Instant::now() < end, "something is left on the disk");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn l4_a_holder_that_dies_with_the_service_leaves_no_binding() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let observer = Client::connect(&bus).await;
    let aor = |number: usize| format!("sip:life-{number}@127.0.0.1");
    for (number, delay) in INSTANTS.into_iter().enumerate() {
        let id = observer.create(account(aor(number), &registrar)).await.unwrap();
        let holder = Client::connect(&bus).await;
        holder.enable(id, Dict::new()).await.unwrap();
        let killed = kill_after(&bus, Duration::from_micros(delay + 1)).await.expect("it only kills");
        holder.connection.clone().close().await.unwrap();
        bus.await_end(killed.expect("it runs")).await;
        assert_eq!(observer.users(id).await, 0);
    }
    let none = |it: &Registrar| (0..INSTANTS.len()).all(|number| it.bindings(&aor(number)).is_empty());
    registrar.until("no binding is left", none).await;
}
