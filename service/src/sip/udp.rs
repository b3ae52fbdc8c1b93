//! Datagram sockets: one for each local address, interface and mark, shared by all profiles that need it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rsipstack::transport::SipConnection;
use rsipstack::transport::udp::{UdpConnection, UdpInner};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use super::socket::{self, Binding};
use super::{Shared, flow, incoming, wire};
use crate::registration::Failure;

type Key = (IpAddr, Binding);

/// Errors of the network that may wait to be noticed; one that is lost shows as silence.
const ERRORS: usize = 256;

/// The sockets in use; one that no flow uses any more is closed.
#[derive(Default)]
pub struct UdpSockets {
    open: Mutex<HashMap<Key, Weak<UdpFlow>>>,
}

/// A socket with its reader.
pub struct UdpFlow {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    connection: UdpConnection,
    errors: broadcast::Sender<(SocketAddr, Failure)>,
    reader: AbortHandle,
}

impl UdpSockets {
    /// The socket for datagrams to `server`.
    pub async fn towards(
        shared: &Arc<Shared>,
        server: SocketAddr,
        binding: &Binding,
    ) -> io::Result<Arc<UdpFlow>> {
        let source = socket::source_towards(server, binding)?;
        let key = (source, binding.clone());
        let open = || shared.udp.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open().get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let new = Arc::new(UdpFlow::open(shared, source, binding).await?);
        let mut open = open();
        // Two profiles may have come here at once: one socket is enough.
        if let Some(known) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        open.retain(|_, flow| flow.strong_count() > 0);
        open.insert(key, Arc::downgrade(&new));
        Ok(new)
    }
}

impl UdpFlow {
    async fn open(shared: &Arc<Shared>, source: IpAddr, binding: &Binding) -> io::Result<Self> {
        let socket = Arc::new(socket::udp(source, binding)?);
        let local = socket.local_addr()?;
        let addr = rsipstack::transport::SipAddr {
            r#type: Some(rsipstack::sip::Transport::Udp),
            addr: local.into(),
        };
        let connection = UdpConnection::attach(UdpInner { conn: socket.clone(), addr }, None, None).await;
        let errors = broadcast::Sender::new(ERRORS);
        let reader = tokio::spawn(read(
            Arc::downgrade(shared),
            socket.clone(),
            SipConnection::Udp(connection.clone()),
            errors.clone(),
        ));
        Ok(Self { socket, local, connection, errors, reader: reader.abort_handle() })
    }

    /// Our address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The SIP crate's name for it.
    pub fn connection(&self) -> SipConnection {
        SipConnection::Udp(self.connection.clone())
    }

    /// Resolves when the network says that datagrams to `server` do not arrive (RFC 3261 §18.4).
    pub async fn refused(&self, server: SocketAddr) -> Failure {
        let mut errors = self.errors.subscribe();
        loop {
            match errors.recv().await {
                Ok((about, failure)) if about == server => return failure,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Takes the socket's pending error, which the next send would return; the queue that tells whom it is about
    /// stays.
    pub fn clear_error(&self) {
        let _ = self.socket.take_error();
    }

    /// Opens the NAT towards `server` again.
    pub async fn ping(&self, server: SocketAddr) {
        // What cannot be sent now is sent the next time; a server that is gone shows at the refresh.
        let _ = self.socket.send_to(flow::PING, server).await;
    }
}

impl Drop for UdpFlow {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads until aborted. A datagram past [`wire::LONGEST`] cannot be.
async fn read(
    shared: Weak<Shared>,
    socket: Arc<UdpSocket>,
    connection: SipConnection,
    errors: broadcast::Sender<(SocketAddr, Failure)>,
) {
    let mut buffer = vec![0; wire::LONGEST];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received.ok(),
            _ = socket.ready(Interest::ERROR) => None,
        };
        // An error of an earlier datagram, met by whichever looked first.
        let Some((length, peer)) = received else {
            tell_errors(&socket, &errors);
            tokio::task::yield_now().await;
            continue;
        };
        let Some(shared) = shared.upgrade() else { return };
        let datagram = &buffer[..length];
        if datagram.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if let Some(reply) = incoming::take(&shared, datagram, peer, &connection).await {
            let _ = socket.send_to(reply.as_bytes(), peer).await;
        }
    }
}

/// Tells all errors of the network that wait at `socket`.
fn tell_errors(socket: &UdpSocket, errors: &broadcast::Sender<(SocketAddr, Failure)>) {
    loop {
        match socket.try_io(Interest::ERROR, || socket::next_error(socket)) {
            Ok((Some(server), error)) => {
                // Nobody listens where no request is under way.
                let _ = errors.send((server, Failure::Unreachable(socket::text(&error))));
            }
            Ok((None, _)) => {}
            Err(_) => return,
        }
    }
}
