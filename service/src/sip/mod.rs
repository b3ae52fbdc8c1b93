//! The SIP edge: resolving, connecting, transactions, keep-alive, incoming requests. The only place that names the
//! SIP crate.
//!
//! We own the sockets and read them ourselves: what comes in is bounded and checked before the SIP crate sees it,
//! a flow's end is known at once, and the crate never dials. It gives us the client transactions
//! (RFC 3261 §17.1.2), each sent on exactly the connection we say.

mod asked;
mod flow;
pub mod frame;
mod incoming;
pub mod received;
mod resolve;
mod send;
mod socket;
mod stream;
mod tls;
mod udp;
pub mod wire;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsipstack::EndpointBuilder;
use rsipstack::transaction::endpoint::{EndpointInner, EndpointOption};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use self::asked::Asked;
use self::flow::Flow;
use self::socket::Binding;
use self::udp::UdpSockets;
use crate::registration::{Hop, Input, KeepAlive, Request, Target};
use crate::settings::Settings;

/// Requests that may leave at once: more wait, so that a thousand profiles at once are no burst that a receive
/// buffer loses (and every lost packet is a retransmission).
const WINDOW: usize = 64;

/// What the edge has to say.
#[derive(Debug)]
pub enum News {
    /// Something happened to a profile's registration.
    Registration {
        /// Which.
        profile: u32,
        /// What.
        input: Input,
    },
}

/// A handle of the edge; all of its tasks run on the runtime that it was started on.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Arc<EndpointInner>,
    news: mpsc::UnboundedSender<News>,
    state: Mutex<State>,
    asked: Arc<Asked>,
    udp: UdpSockets,
    resolver: resolve::Names,
    roots: tls::SystemRoots,
    window: Arc<Semaphore>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    profiles: HashMap<u32, Profile>,
    tokens: HashMap<String, u32>,
}

/// What the edge knows of a profile.
struct Profile {
    settings: Arc<Settings>,
    token: String,
    way: Option<Way>,
    /// Where its server's name led to last.
    resolved: Vec<SocketAddr>,
    /// The server that a TLS handshake was last completed with.
    spoke_tls: Option<SocketAddr>,
    keep_alive: Option<KeepAlive>,
    pinger: Option<AbortHandle>,
    /// The attempt under way.
    task: Option<AbortHandle>,
}

/// A flow and the settings that it was made with.
struct Way {
    flow: Flow,
    settings: Arc<Settings>,
}

impl Way {
    /// Does it lead to `target`, in the way that `settings` want?
    fn leads_to(&self, target: &Target, settings: &Settings) -> bool {
        self.flow.leads_to(target) && self.settings.travels_as(settings)
    }
}

impl Edge {
    /// Starts the edge. What it has to say goes to `news`: one word for each question and each lost flow, so
    /// the channel holds no more than there are profiles.
    pub fn start(news: mpsc::UnboundedSender<News>) -> Edge {
        let option = EndpointOption {
            // Our own limit of 32 s comes first, and tells silence from a real 408.
            t1x64: std::time::Duration::from_secs(40),
            callid_suffix: Some(String::from("sip-profiles")),
            ..EndpointOption::default()
        };
        let endpoint = EndpointBuilder::new().with_option(option).with_user_agent(wire::USER_AGENT).build();
        let timers = endpoint.inner.clone();
        tokio::spawn(async move { timers.process_timer().await });
        Edge {
            shared: Arc::new(Shared {
                endpoint: endpoint.inner,
                news,
                state: Mutex::default(),
                asked: Arc::default(),
                udp: UdpSockets::default(),
                resolver: resolve::Names::default(),
                roots: tls::SystemRoots::default(),
                window: Arc::new(Semaphore::new(WINDOW)),
                dropped: AtomicU64::new(0),
            }),
        }
    }

    /// Tells the edge of a profile, or of its new settings. `token` is its Contact user: requests to it are this
    /// profile's.
    pub fn configure(&self, profile: u32, settings: Arc<Settings>, token: String) {
        let mut state = self.shared.state();
        state.tokens.insert(token.clone(), profile);
        match state.profiles.get_mut(&profile) {
            Some(known) => known.settings = settings,
            None => {
                state.profiles.insert(profile, Profile::new(settings, token));
            }
        }
    }

    /// Forgets a profile and its flow.
    pub fn forget(&self, profile: u32) {
        let mut state = self.shared.state();
        if let Some(mut gone) = state.profiles.remove(&profile) {
            gone.close_flow();
            state.tokens.remove(&gone.token);
        }
    }

    /// Resolves `hop`; the answer is [`Input::Resolved`].
    pub fn resolve(&self, profile: u32, attempt: u64, hop: Hop) {
        let shared = self.shared.clone();
        self.run(profile, async move {
            let result = shared.resolver.targets(&hop).await;
            if let (Ok(targets), Some(known)) = (&result, shared.state().profiles.get_mut(&profile)) {
                known.resolved = targets.iter().map(|target| target.address).collect();
            }
            shared.tell(profile, Input::Resolved { attempt, result });
        });
    }

    /// Sends `request` to `target` as `settings` want it to travel; the answer is [`Input::Answer`] or
    /// [`Input::Failed`].
    pub fn send(
        &self,
        profile: u32,
        attempt: u64,
        target: Target,
        request: Request,
        settings: Arc<Settings>,
    ) {
        let shared = self.shared.clone();
        self.run(profile, async move {
            match send::send(&shared, profile, target, request, &settings).await {
                Ok(response) => {
                    shared.tell(profile, Input::Answer { attempt, response });
                    // Told before the answer, the flow's end was taken for the request's own.
                    if shared.flow_is_over(profile) {
                        shared.tell(profile, Input::FlowLost);
                    }
                }
                Err(failure) => shared.tell(profile, Input::Failed { attempt, failure }),
            }
        });
    }

    /// Runs a profile's one task: at most one request of a profile is in flight.
    fn run(&self, profile: u32, work: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.shared.state();
        let Some(known) = state.profiles.get_mut(&profile) else {
            return;
        };
        let task = tokio::spawn(work).abort_handle();
        if let Some(before) = known.task.replace(task) {
            before.abort();
        }
    }

    /// Forgets a profile's flow, and whatever of it is still under way.
    pub fn close_flow(&self, profile: u32) {
        if let Some(known) = self.shared.state().profiles.get_mut(&profile) {
            known.close_flow();
        }
    }

    /// Keeps a profile's flow alive as told; `None` stops it.
    pub fn keep_alive(&self, profile: u32, how: Option<KeepAlive>) {
        let mut state = self.shared.state();
        let Some(known) = state.profiles.get_mut(&profile) else {
            return;
        };
        known.keep_alive = how;
        if let Some(before) = known.pinger.take() {
            before.abort();
        }
        if let (Some(how), Some(way)) = (how, &known.way) {
            known.pinger = Some(way.flow.keep_alive(how));
        }
    }

    /// The address that the kernel would send from to `server`, with the profile's settings; no packet is sent.
    pub fn source_towards(&self, profile: u32, server: SocketAddr) -> io::Result<IpAddr> {
        let binding = {
            let state = self.shared.state();
            state.profiles.get(&profile).map(|known| Binding::of(&known.settings)).unwrap_or_default()
        };
        socket::source_towards(server, &binding)
    }

    /// The local address of a profile's flow, where it has one.
    pub fn local_address(&self, profile: u32) -> Option<SocketAddr> {
        self.shared.state().profiles.get(&profile)?.way.as_ref().map(|way| way.flow.local())
    }

    /// Messages that were dropped: malformed, too large, or from strangers.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Profile {
    fn new(settings: Arc<Settings>, token: String) -> Self {
        Self {
            settings,
            token,
            way: None,
            resolved: Vec::new(),
            spoke_tls: None,
            keep_alive: None,
            pinger: None,
            task: None,
        }
    }

    /// May `peer` ask something of it? Its flow's peer may, and the other servers of the same name.
    fn listens_to(&self, peer: SocketAddr) -> bool {
        self.way.as_ref().is_some_and(|way| way.flow.is_from(peer) || self.resolved.contains(&peer))
    }

    /// Takes a new flow in place of the one before, kept alive as that was.
    fn take_way(&mut self, way: Way) {
        if let Some(before) = self.pinger.take() {
            before.abort();
        }
        self.pinger = self.keep_alive.map(|how| way.flow.keep_alive(how));
        self.way = Some(way);
    }

    fn close_flow(&mut self) {
        for task in [self.task.take(), self.pinger.take()].into_iter().flatten() {
            task.abort();
        }
        self.way = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if something did, the maps are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, profile: u32, input: Input) {
        // Fails only when the service is ending.
        let _ = self.news.send(News::Registration { profile, input });
    }

    fn flow_is_over(&self, profile: u32) -> bool {
        let state = self.state();
        let way = state.profiles.get(&profile).and_then(|known| known.way.as_ref());
        way.is_some_and(|way| way.flow.is_over())
    }

    fn drop_message(&self, why: &str) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("dropped a SIP message: {why}");
    }
}

#[cfg(test)]
mod tests;
