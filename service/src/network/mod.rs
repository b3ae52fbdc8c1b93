//! What changes under us: links, addresses and routes, as the kernel tells (rtnetlink(7)), name servers, and [`sleep`].
//!
//! Which change it was does not matter: whoever is told asks the kernel anew for the source address towards each
//! server. So the messages are not even parsed, and one that was lost counts as one that came.

mod resolver;
pub mod sleep;

use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use self::resolver::ResolverWatch;

/// A change is told when nothing more has changed for that long: a link that flaps is one change.
const DEBOUNCE: Duration = Duration::from_secs(2);
/// A network that never rests is told of at least that often.
const LONGEST: Duration = Duration::from_secs(10);

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE as a mask.
const GROUPS: u32 = 1 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10;

/// Watches the network.
pub struct NetworkWatch {
    socket: TokioSocket,
    /// Once it is needed.
    resolver: Option<ResolverWatch>,
    pending: Option<Pending>,
}

#[derive(Clone, Copy)]
struct Pending {
    first: Instant,
    last: Instant,
}

impl Pending {
    fn due(self) -> Instant {
        (self.last + DEBOUNCE).min(self.first + LONGEST)
    }
}

impl NetworkWatch {
    /// Starts watching.
    pub fn start() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self { socket, resolver: None, pending: None })
    }

    /// Some name was not found: from now on a change of the name servers counts as one of the network. Not sooner, as
    /// the kernel lets go of such a watch late, and a process that is killed with it, so that a successor would wait.
    pub fn watch_resolver(&mut self) {
        if self.resolver.is_none() {
            // Names are still asked for again with time.
            self.resolver = ResolverWatch::start()
                .inspect_err(|error| warn!("changes of the name servers are not noticed: {error}"))
                .ok();
        }
    }

    /// Resolves when something has changed, once it has come to rest. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            let due = self.pending.map(Pending::due);
            let rest = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let resolver = async {
                match &mut self.resolver {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // An error is an overrun: something changed, only what is unknown.
                _ = self.socket.recv_from_full() => {}
                () = resolver => {}
                () = rest => {
                    self.pending = None;
                    return;
                }
            }
            let now = Instant::now();
            let first = self.pending.map_or(now, |pending| pending.first);
            self.pending = Some(Pending { first, last: now });
        }
    }
}
