//! A profile's way to its server: a stream of its own, or a datagram socket shared with others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rsipstack::transport::{SipAddr, SipConnection};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::stream::Stream;
use super::udp::UdpFlow;
use crate::registration::{Failure, KeepAlive, Target};

/// A pong must come within that time (RFC 5626 §4.4.1).
pub const PONG: Duration = Duration::from_secs(10);
/// The ping of both transports (RFC 5626 §4.4.1, and for datagrams what opens the NAT).
pub const PING: &[u8] = b"\r\n\r\n";

/// A flow.
#[derive(Clone)]
pub enum Flow {
    /// Datagrams to `server`.
    Udp {
        /// The socket.
        socket: Arc<UdpFlow>,
        /// Where to.
        server: Target,
    },
    /// A stream.
    Stream(Arc<Stream>),
}

impl Flow {
    /// Our address.
    pub fn local(&self) -> SocketAddr {
        match self {
            Flow::Udp { socket, .. } => socket.local(),
            Flow::Stream(stream) => stream.local(),
        }
    }

    /// Does it lead to `target`, and stand?
    pub fn leads_to(&self, target: &Target) -> bool {
        match self {
            Flow::Udp { server, .. } => server == target,
            Flow::Stream(stream) => stream.server() == target && !stream.is_closed(),
        }
    }

    /// Has the peer closed it?
    pub fn is_over(&self) -> bool {
        matches!(self, Flow::Stream(stream) if stream.is_closed())
    }

    /// May requests come from `peer` over this flow?
    pub fn is_from(&self, peer: SocketAddr) -> bool {
        match self {
            Flow::Udp { server, .. } => server.address == peer,
            Flow::Stream(stream) => stream.server().address == peer,
        }
    }

    /// The SIP crate's name for it.
    pub fn connection(&self) -> SipConnection {
        match self {
            Flow::Udp { socket, .. } => socket.connection(),
            Flow::Stream(stream) => stream.connection(),
        }
    }

    /// The SIP crate's name for where it leads.
    pub fn destination(&self) -> Option<SipAddr> {
        match self {
            Flow::Udp { server, .. } => {
                Some(SipAddr { r#type: Some(rsipstack::sip::Transport::Udp), addr: server.address.into() })
            }
            Flow::Stream(_) => None,
        }
    }

    /// Resolves when the flow has failed: a stream is over, or the network says that datagrams to the server do
    /// not arrive.
    pub async fn failed(&self) -> Failure {
        match self {
            Flow::Udp { socket, server } => socket.refused(server.address).await,
            Flow::Stream(stream) => stream.closed().await,
        }
    }

    /// An error about another server's datagram must not meet the next one that the shared socket sends.
    pub fn clear_error(&self) {
        if let Flow::Udp { socket, .. } = self {
            socket.clear_error();
        }
    }

    /// Whom TLS leads to; "" without TLS.
    pub fn tls_peer(&self) -> &str {
        match self {
            Flow::Udp { .. } => "",
            Flow::Stream(stream) => stream.tls_peer(),
        }
    }

    /// Pings at random within the bounds, until aborted.
    pub fn keep_alive(&self, how: KeepAlive) -> AbortHandle {
        let flow = self.clone();
        tokio::spawn(async move {
            let mut last = Instant::now();
            loop {
                let pause = rand::rng().random_range(how.min_millis..=how.max_millis);
                sleep_until(last + Duration::from_millis(pause)).await;
                last = Instant::now();
                match &flow {
                    Flow::Udp { socket, server } => socket.ping(server.address).await,
                    Flow::Stream(stream) => {
                        let seen = stream.heard();
                        if stream.ping().await.is_err() {
                            return;
                        }
                        // A server that has ponged before and does not now is gone; others never promised.
                        if stream.has_ponged() && timeout(PONG, stream.hears_after(seen)).await.is_err() {
                            stream.close("the server answers no keep-alive any more");
                            return;
                        }
                    }
                }
            }
        })
        .abort_handle()
    }
}
